// LASP-2H (arXiv 2502.07563): all ranks' keys and values are gathered, in
// slices of their heads (kv_exchange.h), and attention of this rank's queries
// sees them all:
//
//   forward   start the gather of slice i + 1, wait for that of slice i, attend
//             to slice i: a call for each part of the queries
//   backward  gradients of slice i, while those of slice i - 1 are summed and
//             come home
//
// Also what a single rank does, and passes that carry a state, whose rows are
// whole on every rank: those have one slice.
#pragma once

#include <memory>
#include <vector>

#include "worker/parallel/kv_exchange.h"
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
  // The operands of one slice, with the queries that read it.
  SoftmaxExchangeTensors Of(const KeySlice& slice,
                            const SoftmaxExchangeTensors& tensors) const;
  // The heads of queries in x [B, n, H, D].
  kernels::TensorView QueriesOf(const KeySlice& slice,
                                kernels::TensorView x) const;
  kernels::ConstTensorView QueriesOf(const KeySlice& slice,
                                     kernels::ConstTensorView x) const;
  // In rows; those before row `end`.
  std::vector<int64_t> DocumentStarts(const SoftmaxExchangeTensors& tensors,
                                      int64_t end) const;
  // Operands of the queries of a part.
  kernels::SoftmaxAttentionInputs OperandsOf(
      const ShardPart& part, const SoftmaxExchangeTensors& tensors,
      kernels::TensorView rows,
      const std::vector<int64_t>& document_starts) const;

  // Of a slice's tensors. Null for a single rank.
  absl::StatusOr<std::unique_ptr<KvExchange>> BeginGather(
      const SoftmaxExchangeTensors& tensors, kernels::TensorView staging);
  absl::Status Attend(const SoftmaxExchangeTensors& tensors,
                      kernels::TensorView workspace);

  // What backward has besides the results, for slices of up to `slice` heads.
  struct Scratch {
    kernels::TensorView workspace;
    kernels::TensorView d_slices[2];  // of rows; the second one may be null
    kernels::TensorView d_first;      // of the rows up to the first part's end
    kernels::TensorView staging;
    kernels::TensorView sum;
  };
  Scratch AllocateScratch(const KeySlice& widest, bool sliced) const;
  absl::Status BackwardAlone(const SoftmaxExchangeTensors& tensors,
                             kernels::ConstTensorView d_o,
                             const SoftmaxExchangeGradients& gradients);
  // The gradients of a slice's queries, and of its rows through them.
  absl::Status SliceBackward(const SoftmaxExchangeTensors& tensors,
                             kernels::ConstTensorView d_o,
                             kernels::TensorView d_q,
                             kernels::TensorView d_rows,
                             const Scratch& scratch);
  // Through a part's queries.
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
                            kernels::TensorView d_q, kernels::TensorView d_rows,
                            const Scratch& scratch);
};

}  // namespace longspan::worker
