// The recurrence of a gang whose ranks have some of the heads each, over all
// tokens of the piece (DeepSpeed Ulysses; worker/parallel/head_exchange.h):
// rows of q, k, v and the gates go to the ranks of their heads, o comes back,
// and backward is the mirror image. A rank computes what one rank alone would
// for its heads: no state travels, but where the one that leaves the piece is
// wanted on every rank, each brings its heads' part of it.
//
// What came stays on the tape, so that backward fetches dO alone.
#pragma once

#include <utility>
#include <vector>

#include "kernels/cost/workspace.h"
#include "worker/model/gang_recurrence.h"
#include "worker/parallel/head_exchange.h"

namespace longspan::worker {

class RecurrenceByHeads : public GangRecurrence {
 public:
  explicit RecurrenceByHeads(RecurrenceParts parts)
      : parts_(std::move(parts)) {}

  // The heads' q, k, v, gate and beta.
  void AllocateTape(const RankContext& context, const LayerPass& pass,
                    LinearAttentionTape& tape) const override;
  absl::Status Forward(const RankContext& context, const LayerPass& pass,
                       LayerState* state,
                       const kernels::LinearAttentionInputs& inputs,
                       const LinearAttentionTape& tape,
                       kernels::TensorView o) const override;
  absl::Status Backward(const RankContext& context, const LayerPass& pass,
                        const kernels::LinearAttentionInputs& inputs,
                        const LinearAttentionTape& tape,
                        kernels::TensorView d_o,
                        const kernels::LinearAttentionGradients& d_inputs,
                        kernels::TensorView workspace) const override;
  int64_t BackwardWorkspaceBytes(const RankContext& context,
                                 const LayerPass& pass) const override;

 private:
  HeadCut CutOf(const RankContext& context, int rank) const;
  HeadExchange Exchange(const RankContext& context, const LayerPass& pass,
                        Direction direction) const;
  // [B, N, H_r, Dv (+ 1)].
  kernels::TensorView AllocateValues(const char* name,
                                     const RankContext& context,
                                     const LayerPass& pass) const;
  kernels::TensorView AllocateKeys(const char* name, const RankContext& context,
                                   const LayerPass& pass) const;
  kernels::TensorView AllocateGate(const char* name, const RankContext& context,
                                   const LayerPass& pass) const;
  kernels::TensorView AllocateBeta(const char* name, const RankContext& context,
                                   const LayerPass& pass) const;
  kernels::TensorView AllocateParcels(const RankContext& context,
                                      const LayerPass& pass) const;
  // `inputs` of this rank's heads instead of its tokens.
  kernels::LinearAttentionInputs InputsOf(
      const RankContext& context, const LayerPass& pass,
      kernels::LinearAttentionInputs inputs,
      const LinearAttentionTape& tape) const;
  // Every rank's heads of the leaving state: `states` is flat, of all heads,
  // one rank's after the other's.
  kernels::TensorView StatePart(const RankContext& context,
                                const LayerPass& pass,
                                kernels::TensorView states, int rank) const;
  absl::Status ShareLeaving(const RankContext& context, const LayerPass& pass,
                            kernels::TensorView states,
                            kernels::TensorView memory) const;
  int64_t WorkspaceBytes(const RankContext& context, const LayerPass& pass,
                         kernels::LinearAttentionStage stage) const;

  const RecurrenceParts parts_;
};

}  // namespace longspan::worker
