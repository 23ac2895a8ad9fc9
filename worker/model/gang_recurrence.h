// How the ranks of a gang share one layer's recurrence: by tokens, so that
// states travel (recurrence_by_tokens.h), or by heads, so that rows do
// (recurrence_by_heads.h). The job's method decides.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "common/model_spec/linear_layer_form.h"
#include "kernels/api/linear_attention.h"
#include "worker/model/mixer.h"
#include "worker/parallel/rank_context.h"

namespace longspan::worker {

// What a recurrence is made of.
struct RecurrenceParts {
  int layer = 0;
  int64_t heads = 1;
  int64_t key_heads = 1;  // of q and k
  LinearLayerForm form;
  std::vector<double> log_decays;  // per head, constant transitions
};

// What one call of the op works on.
struct RecurrenceExtent {
  int64_t batch = 1;
  int64_t tokens = 0;  // of each sequence
  int64_t heads = 1;
  int64_t key_heads = 1;
};
int64_t RecurrenceWorkspaceBytes(const RankContext& context,
                                 kernels::LinearAttentionStage stage,
                                 const LinearLayerForm& form,
                                 const RecurrenceExtent& extent);

// More than one rank. `inputs` are this rank's tokens with all heads.
class GangRecurrence {
 public:
  virtual ~GangRecurrence() = default;

  // What backward needs of forward's exchange.
  virtual void AllocateTape(const RankContext& context, const LayerPass& pass,
                            LinearAttentionTape& tape) const = 0;

  // Writes `o` [B, n, H, Dv (+ 1)]. `state` as in Mixer::Mix: the one that
  // leaves the piece is then on every rank. Scratch comes from the arena.
  virtual absl::Status Forward(const RankContext& context,
                               const LayerPass& pass, LayerState* state,
                               const kernels::LinearAttentionInputs& inputs,
                               const LinearAttentionTape& tape,
                               kernels::TensorView o) const = 0;

  virtual absl::Status Backward(
      const RankContext& context, const LayerPass& pass,
      const kernels::LinearAttentionInputs& inputs,
      const LinearAttentionTape& tape, kernels::TensorView d_o,
      const kernels::LinearAttentionGradients& d_inputs,
      kernels::TensorView workspace) const = 0;
  virtual int64_t BackwardWorkspaceBytes(const RankContext& context,
                                         const LayerPass& pass) const = 0;
};

}  // namespace longspan::worker
