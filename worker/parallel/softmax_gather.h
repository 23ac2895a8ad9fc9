// LASP-2H (arXiv 2502.07563): all ranks' keys and values are gathered
// (kv_exchange.h), and one attention call sees them all. Also what a single
// rank does, and passes that carry a state: their rows are whole on every rank.
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
  // In rows.
  std::vector<int64_t> DocumentStarts(
      const SoftmaxExchangeTensors& tensors) const;
  kernels::SoftmaxAttentionInputs AllOperands(
      const SoftmaxExchangeTensors& tensors,
      const std::vector<int64_t>& document_starts) const;
  absl::Status GatherRows(const SoftmaxExchangeTensors& tensors);
};

}  // namespace longspan::worker
