#include "kernels/cost/softmax_attention_plan.h"

#include <algorithm>

#include "kernels/cost/cuda_softmax_attention_plan.h"
#include "kernels/cost/vector_pad.h"

namespace longspan::kernels {
namespace {

constexpr int64_t kRangeBytes = 16;  // two 64-bit positions

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

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
  const int64_t width = PadToVector(shape.head_dim);
  SoftmaxAttentionPlan plan;
  plan.query_blocks = CeilDiv(shape.query_tokens, kBlock);
  plan.key_blocks = CeilDiv(shape.key_tokens, kBlock);
  plan.range_bytes =
      CeilDiv((shape.query_tokens + plan.query_blocks) * kRangeBytes, 64) * 64;
  // Forward: Q transposed, V, the output; scores. Backward: Q and dO, plain
  // and transposed, K, dQ; probabilities and score gradients. Then one value
  // per query: maximum, sum, correction, first and last key and the like.
  const int64_t matrices = backward ? 6 : 3;
  const int64_t tiles = backward ? 2 : 1;
  plan.scratch_elements =
      matrices * kBlock * width + tiles * kBlock * kBlock + 8 * kBlock;
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
