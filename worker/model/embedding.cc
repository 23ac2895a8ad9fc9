#include "worker/model/embedding.h"

namespace longspan::worker {

absl::Status Embedding::Forward(const RankContext& context,
                                kernels::ConstTensorView ids,
                                kernels::TensorView x) const {
  return context.backend->dense().Embed(ids, table_, x, *context.stream);
}

absl::Status Embedding::Backward(const RankContext& context,
                                 kernels::ConstTensorView ids,
                                 kernels::ConstTensorView d_x) const {
  return context.backend->dense().EmbedBackward(ids, d_x, gradient_,
                                                *context.stream);
}

}  // namespace longspan::worker
