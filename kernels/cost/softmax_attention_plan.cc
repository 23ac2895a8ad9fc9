#include "kernels/cost/softmax_attention_plan.h"

#include <algorithm>

#include "common/base/divide.h"
#include "kernels/cost/cuda_softmax_attention_plan.h"
#include "kernels/cost/vector_pad.h"

namespace longspan::kernels {
namespace {

constexpr int64_t kRangeBytes = 16;  // two 64-bit positions

// Tasks that can run at the same time.
int64_t Tasks(bool backward, const SoftmaxAttentionShape& shape,
              const SoftmaxAttentionPlan& plan) {
  const int64_t by_query = shape.batch * shape.heads * plan.query_blocks;
  if (!backward) return by_query;
  return std::max(by_query, shape.batch * shape.key_heads * plan.key_blocks);
}

}  // namespace

SoftmaxAttentionPlan PlanSoftmaxAttention(bool backward,
                                          const SoftmaxAttentionShape& shape) {
  constexpr int64_t kBlock = kAttentionBlock;
  const int64_t matrix = kBlock * PadToVector(shape.head_dim);
  SoftmaxAttentionPlan plan;
  plan.query_blocks = CeilDiv(shape.query_tokens, kBlock);
  plan.key_blocks = CeilDiv(shape.key_tokens, kBlock);
  plan.query_blocks_together =
      std::min(kAttentionQueryBlocks, plan.query_blocks);
  plan.range_bytes =
      RoundUp((shape.query_tokens + plan.query_blocks) * kRangeBytes, 64);
  // Forward: V; scores; correction, first and last key of each query. For each
  // block of queries Q transposed, the output, maxima and sums.
  int64_t shared = matrix + kBlock * kBlock + 3 * kBlock;
  int64_t of_block = 2 * matrix + 2 * kBlock;
  if (backward) {
    // K; probabilities and score gradients; first and last key of each query.
    // For each block of queries Q and dO, plain and transposed, dQ, lse, delta.
    shared = matrix + 2 * kBlock * kBlock + 2 * kBlock;
    of_block = 5 * matrix + 2 * kBlock;
  }
  plan.scratch_elements = shared + plan.query_blocks_together * of_block;
  return plan;
}

int64_t SoftmaxAttentionWorkspaceBytes(bool backward,
                                       const SoftmaxAttentionShape& shape,
                                       BackendKind backend, int threads) {
  if (backend == BackendKind::kReference) return 0;
  if (backend == BackendKind::kCuda) {
    return CudaSoftmaxAttentionWorkspaceBytes(backward, shape);
  }
  const SoftmaxAttentionPlan plan = PlanSoftmaxAttention(backward, shape);
  const int64_t active =
      std::min<int64_t>(threads, Tasks(backward, shape, plan));
  return plan.range_bytes +
         active * plan.scratch_elements * shape.element_bytes;
}

}  // namespace longspan::kernels
