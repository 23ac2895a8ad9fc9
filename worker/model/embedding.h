// Token embedding: x_m = table[ids_m].
#pragma once

#include "absl/status/status.h"
#include "kernels/api/tensor_view.h"
#include "worker/parallel/rank_context.h"

namespace longspan::worker {

class Embedding {
 public:
  Embedding() = default;
  // table [V, d] and its gradient.
  Embedding(kernels::TensorView table, kernels::TensorView gradient)
      : table_(table), gradient_(gradient) {}

  // ids [M] i32; x [M, d]. kInvalidArgument names an id outside [0, V).
  absl::Status Forward(const RankContext& context, kernels::ConstTensorView ids,
                       kernels::TensorView x) const;
  // gradient[ids_m] += d_x_m.
  absl::Status Backward(const RankContext& context,
                        kernels::ConstTensorView ids,
                        kernels::ConstTensorView d_x) const;

 private:
  kernels::TensorView table_;
  kernels::TensorView gradient_;
};

}  // namespace longspan::worker
