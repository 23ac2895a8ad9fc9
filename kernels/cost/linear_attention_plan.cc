#include "kernels/cost/linear_attention_plan.h"

#include <algorithm>

#include "kernels/cost/vector_pad.h"

namespace longspan::kernels {
namespace {

// Backward needs the state at the start of every chunk. Up to this many bytes
// per thread they are all kept, because recomputing them costs 2 dk dv of the
// 160 (dk + dv) + 10 dk dv operations per token; beyond it only every
// sqrt(blocks)-th is kept, which bounds memory by 2 sqrt(blocks) states.
constexpr int64_t kMaxSavedStateBytes = int64_t{8} << 20;

constexpr int64_t kBytesAlignment = 64;

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

int64_t CeilSqrt(int64_t n) {
  int64_t root = 1;
  while (root * root < n) ++root;
  return root;
}

// Decay tables, the 64 x 64 weights and one score tile.
constexpr int64_t kTableElements = 8 * kChunk;
constexpr int64_t kTileElements = kChunk * kChunk;

int64_t ForwardElements(int64_t dk, int64_t dv) {
  // K transposed, K weighted, V, state, scores, weights.
  return kChunk * (2 * dk + dv) + dk * dv + 2 * kTileElements + kTableElements;
}

int64_t BackwardElements(int64_t dk, int64_t dv) {
  // K and V transposed; K, weighted K, Q, weighted Q; V, dO; dS and its
  // transpose; scores, their gradient, weights.
  return kChunk * (5 * dk + 3 * dv) + 2 * dk * dv + 3 * kTileElements +
         kTableElements;
}

}  // namespace

LinearAttentionPlan PlanLinearAttention(LinearAttentionStage stage,
                                        const LinearAttentionShape& shape) {
  const int64_t dk = PadToVector(shape.key_dim);
  const int64_t dv = PadToVector(shape.value_dim);
  LinearAttentionPlan plan;
  plan.blocks = CeilDiv(shape.tokens, kChunk);
  plan.state_elements = dk * dv;
  plan.group_blocks = plan.blocks;
  const int64_t state_bytes = plan.state_elements * shape.element_bytes;
  if ((plan.blocks + 2) * state_bytes > kMaxSavedStateBytes) {
    plan.group_blocks = CeilSqrt(plan.blocks);
  }
  plan.groups = CeilDiv(plan.blocks, plan.group_blocks);
  if (stage == LinearAttentionStage::kGradients) {
    const int64_t states = (plan.group_blocks + 1) + (plan.groups + 1);
    plan.scratch_elements =
        BackwardElements(dk, dv) + states * plan.state_elements;
  } else if (stage == LinearAttentionStage::kSummariseBackward) {
    plan.scratch_elements = BackwardElements(dk, dv);
  } else {
    plan.scratch_elements = ForwardElements(dk, dv);
  }
  return plan;
}

int64_t LinearAttentionWorkspaceBytes(LinearAttentionStage stage,
                                      const LinearAttentionShape& shape,
                                      BackendKind backend, int threads) {
  if (backend == BackendKind::kReference) return 0;
  const LinearAttentionPlan plan = PlanLinearAttention(stage, shape);
  const int64_t sequences = shape.batch * shape.heads;
  const int64_t active = std::min<int64_t>(threads, sequences);
  const int64_t bytes = plan.scratch_elements * shape.element_bytes;
  return active * CeilDiv(bytes, kBytesAlignment) * kBytesAlignment;
}

}  // namespace longspan::kernels
