// LASP-2H (arXiv 2502.07563): all ranks' keys and values are gathered
// (kv_exchange.h), and an attention call for each part of this rank's queries
// (sequence_shard.h) sees them all. Also what a single rank does, and passes
// that carry a state: their rows are whole on every rank.
#pragma once

#include <vector>

#include "worker/parallel/softmax_exchange.h"

namespace longspan::worker {

class SoftmaxGather : public SoftmaxExchange {
 public:
  SoftmaxGather(const RankContext& context, int layer,
                const SequenceShard& shard, const SoftmaxAttentionSpec& spec)
      : SoftmaxExchange(context, layer, shard, spec) {}

  absl::Status Forward(const SoftmaxExchangeTensors& tensors) override;
  absl::Status Backward(const SoftmaxExchangeTensors& tensors,
                        kernels::ConstTensorView d_o,
                        const SoftmaxExchangeGradients& gradients) override;

 private:
  // In rows; those before row `end`.
  std::vector<int64_t> DocumentStarts(const SoftmaxExchangeTensors& tensors,
                                      int64_t end) const;
  // Operands of the queries of a part.
  kernels::SoftmaxAttentionInputs OperandsOf(
      const ShardPart& part, const SoftmaxExchangeTensors& tensors,
      kernels::TensorView rows,
      const std::vector<int64_t>& document_starts) const;
  // The gradients of a part's queries, and of `rows` through them.
  absl::Status PartBackward(const ShardPart& part,
                            const SoftmaxExchangeTensors& tensors,
                            kernels::ConstTensorView d_o,
                            kernels::TensorView d_q, kernels::TensorView rows,
                            kernels::TensorView d_rows,
                            kernels::TensorView workspace);
  // The first of two parts: its queries see the rows up to its end, whose
  // gradients are added to d_rows.
  absl::Status AddFirstPart(const SoftmaxExchangeTensors& tensors,
                            kernels::ConstTensorView d_o,
                            const SoftmaxExchangeGradients& gradients,
                            kernels::TensorView workspace);
  absl::Status GatherRows(const SoftmaxExchangeTensors& tensors);
};

}  // namespace longspan::worker
