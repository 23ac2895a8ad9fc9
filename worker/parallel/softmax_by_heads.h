// DeepSpeed Ulysses (arXiv 2309.14509): a rank takes some of the heads over all
// tokens. Queries, keys and values go to the ranks of their heads
// (head_exchange.h), each attends as one rank alone would, and o comes back;
// backward is the mirror image. What came stays on the tape, so that backward
// fetches d_o alone.
#pragma once

#include "worker/parallel/head_exchange.h"
#include "worker/parallel/softmax_exchange.h"
#include "worker/parallel/softmax_gather.h"

namespace longspan::worker {

class SoftmaxByHeads : public SoftmaxExchange {
 public:
  SoftmaxByHeads(const RankContext& context, int layer,
                 const SequenceShard& shard, const SoftmaxAttentionSpec& spec);

  static SoftmaxHeads AllocateTape(const RankContext& context,
                                   const SequenceShard& shard,
                                   const SoftmaxAttentionSpec& spec);

  absl::Status Forward(const SoftmaxExchangeTensors& tensors) override;
  absl::Status Backward(const SoftmaxExchangeTensors& tensors,
                        kernels::ConstTensorView d_o,
                        const SoftmaxExchangeGradients& gradients) override;

 private:
  // kUnimplemented with a carried state.
  absl::Status CheckTensors(const SoftmaxExchangeTensors& tensors) const;
  HeadExchange Exchange(Direction direction) const;
  // What the heads attend to.
  static SoftmaxExchangeTensors HeadTensors(
      const SoftmaxExchangeTensors& tensors);
  kernels::TensorView AllocateParcels() const;
  kernels::TensorView AllocateLike(const char* name,
                                   kernels::ConstTensorView x) const;

  // One rank's attention, of its heads over the whole piece.
  const RankContext alone_;
  const SequenceShard whole_;
  const SoftmaxAttentionSpec own_;
  SoftmaxGather attention_;
};

}  // namespace longspan::worker
