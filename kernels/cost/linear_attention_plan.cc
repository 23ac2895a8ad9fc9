#include "kernels/cost/linear_attention_plan.h"

#include <algorithm>

#include "common/base/divide.h"
#include "kernels/cost/cuda_linear_attention_plan.h"
#include "kernels/cost/vector_pad.h"

namespace longspan::kernels {
namespace {

// Backward needs the state at the start of every chunk. Up to this many bytes
// per thread, or half of q, k, v and d_o of the heads at work (as much as heads
// of 128 need, whatever their length), they are all kept, because recomputing
// them costs 2 dk dv of the 160 (dk + dv) + 10 dk dv operations per token;
// beyond it only every sqrt(blocks)-th is kept, which bounds memory by
// 2 sqrt(blocks) states a head.
constexpr int64_t kMaxSavedStateBytes = int64_t{64} << 20;

bool KeepsAllStates(const LinearAttentionShape& shape, int64_t blocks,
                    int64_t state_elements, int64_t heads) {
  const int64_t head_bytes = heads * shape.element_bytes;
  const int64_t half_operands =
      blocks * kChunk * (shape.key_dim + shape.value_dim) * head_bytes;
  return blocks * state_elements * head_bytes <=
         std::max(kMaxSavedStateBytes, half_operands);
}

// Heads are walked together because they share memory pages: a token's heads
// lie side by side. Their states have to stay in the L2 cache meanwhile.
constexpr int64_t kMaxGroupStateBytes = int64_t{512} << 10;

constexpr int64_t kBytesAlignment = 64;

int64_t CeilSqrt(int64_t n) {
  int64_t root = 1;
  while (root * root < n) ++root;
  return root;
}

constexpr int64_t kTileElements = kChunk * kChunk;

// Decays of one head; with a decay per channel, only what a summary adds up:
// sums of their logarithms in double.
int64_t TableElements(LinearAttentionStage stage, LinearAttentionDecay decay,
                      int64_t dk) {
  if (decay == LinearAttentionDecay::kHead) return 8 * kChunk;
  const bool sums = stage == LinearAttentionStage::kSummarise &&
                    decay == LinearAttentionDecay::kChannel;
  return sums ? 2 * dk : 0;
}

int64_t ForwardElements(LinearAttentionDecay decay, int64_t dk, int64_t dv) {
  if (decay == LinearAttentionDecay::kHead) {
    // Q; K transposed, K weighted; V; scores, weights.
    return kChunk * (3 * dk + dv) + 2 * kTileElements;
  }
  // K transposed, K and Q weighted, V; scores; gates.
  const int64_t channel =
      kChunk * (3 * dk + dv) + kTileElements + kGateTableRows * dk;
  if (decay == LinearAttentionDecay::kChannel) return channel;
  // K as queries; rests and what is written; scores of K.
  return channel + kChunk * (dk + 2 * dv) + kTileElements;
}

int64_t BackwardElements(LinearAttentionDecay decay, int64_t dk, int64_t dv) {
  if (decay == LinearAttentionDecay::kHead) {
    // K and V transposed; K, Q, weighted K or Q; V, dO; dS transposed; scores,
    // their gradient, weights.
    return kChunk * (4 * dk + 3 * dv) + dk * dv + 3 * kTileElements;
  }
  // K transposed; anchored K and Q; weighted K and Q; terms of the gates; V
  // transposed, V, dO; dS transposed; scores, their gradient; gates.
  const int64_t channel = kChunk * (6 * dk + 3 * dv) + dk * dv +
                          2 * kTileElements + kGateTableRows * dk;
  if (decay == LinearAttentionDecay::kChannel) return channel;
  // K as queries in four anchorings; rests, what is written and its gradients;
  // S; scores of K and their gradient.
  return channel + kChunk * (4 * dk + 5 * dv) + dk * dv + 2 * kTileElements;
}

// bf16 operands (linear_attention_bf16_*.h): elements of two bytes, matrices
// padded to blocks of 32 x 32; f32 numbers are two elements.
constexpr int64_t kBf16Bytes = 2;
constexpr int64_t kBf16Block = 32;

int64_t PadToBf16Block(int64_t n) { return RoundUp(n, kBf16Block); }

int64_t Bf16SharedElements(bool backward, int64_t dk, int64_t dv) {
  // Weights of scores; three blocks of sums.
  const int64_t sums = 2 * (kTileElements + 3 * kBf16Block * kBf16Block);
  // Q; K in three forms, V in two; scores.
  if (!backward) return kChunk * (4 * dk + 2 * dv) + kTileElements + sums;
  // Q, K and V in rows, weighted, flipped and in pairs, dO but for flipped;
  // scores and their gradient, each in two forms; sums of rows.
  return kChunk * (6 * dk + 7 * dv) + 4 * kTileElements + sums +
         kChunk * kBf16Block;
}

int64_t Bf16HeadElements(LinearAttentionStage stage, int64_t state,
                         const LinearAttentionPlan& plan) {
  const int64_t tables = 2 * 8 * kChunk;
  switch (stage) {
    case LinearAttentionStage::kSummarise:
    case LinearAttentionStage::kOutputs:
      return tables + 3 * state;  // S, and as operand
    case LinearAttentionStage::kSummariseBackward:
      return tables + 4 * state;  // dS, and as operand of two products
    case LinearAttentionStage::kGradients:
      break;
  }
  // The same; S; operands at block starts; S at group starts.
  return tables + (4 + 2 + plan.group_blocks + 2 * plan.groups) * state;
}

// `shares` heads follow each other on one thread.
int64_t HeadsTogether(const LinearAttentionShape& shape, int64_t state_bytes,
                      int threads, int64_t shares) {
  const int64_t per_thread =
      CeilDiv(shape.batch * shape.heads / shares, threads) * shares;
  const int64_t by_cache =
      std::max<int64_t>(1, kMaxGroupStateBytes / state_bytes);
  const int64_t together =
      std::min({shape.heads, per_thread, by_cache, kMaxGroupHeads});
  return together < shares ? together : together / shares * shares;
}

// Heads whose d_q and d_k are summed.
int64_t SharesOf(LinearAttentionStage stage,
                 const LinearAttentionShape& shape) {
  if (stage != LinearAttentionStage::kGradients) return 1;
  return shape.key_heads == 0 ? 1 : shape.heads / shape.key_heads;
}

// S, or dS, and what backward saves of S.
int64_t StateCount(LinearAttentionStage stage,
                   const LinearAttentionPlan& plan) {
  if (stage != LinearAttentionStage::kGradients) return 1;
  return 1 + (plan.group_blocks + 1) + (plan.groups + 1);
}

}  // namespace

LinearAttentionPlan PlanLinearAttention(LinearAttentionStage stage,
                                        const LinearAttentionShape& shape,
                                        int threads) {
  const bool bf16 = shape.element_bytes == kBf16Bytes;
  const auto pad = bf16 ? &PadToBf16Block : &PadToVector;
  const int64_t dk = pad(shape.key_dim);
  int64_t dv = pad(shape.value_dim);
  // The transition matrix is summed like a state.
  if (shape.decay == LinearAttentionDecay::kMatrix &&
      stage == LinearAttentionStage::kSummarise) {
    dv = std::max(dk, dv);
  }
  LinearAttentionPlan plan;
  plan.blocks = CeilDiv(shape.tokens, kChunk);
  plan.state_elements = dk * dv;
  const int64_t state_bytes = plan.state_elements * shape.element_bytes;
  const int64_t shares = SharesOf(stage, shape);
  // A head's state, what a chunk makes of it, and in bf16 its rounded copy.
  plan.heads_together =
      HeadsTogether(shape, (bf16 ? 3 : 2) * state_bytes, threads, shares);
  plan.task_heads = std::max(plan.heads_together, shares);
  plan.group_blocks = plan.blocks;
  if (!KeepsAllStates(shape, plan.blocks, plan.state_elements,
                      plan.heads_together)) {
    plan.group_blocks = CeilSqrt(plan.blocks);
  }
  plan.groups = CeilDiv(plan.blocks, plan.group_blocks);
  const bool backward = stage == LinearAttentionStage::kGradients ||
                        stage == LinearAttentionStage::kSummariseBackward;
  if (bf16) {
    plan.head_elements = Bf16HeadElements(stage, plan.state_elements, plan);
    plan.shared_elements = Bf16SharedElements(backward, dk, dv);
  } else {
    plan.head_elements = StateCount(stage, plan) * plan.state_elements +
                         TableElements(stage, shape.decay, dk);
    plan.shared_elements = backward ? BackwardElements(shape.decay, dk, dv)
                                    : ForwardElements(shape.decay, dk, dv);
  }
  if (shares > 1) plan.key_gradient_elements = 2 * kChunk * dk;
  plan.shared_elements += plan.key_gradient_elements;
  plan.scratch_elements =
      plan.shared_elements + plan.heads_together * plan.head_elements;
  return plan;
}

int64_t LinearAttentionWorkspaceBytes(LinearAttentionStage stage,
                                      const LinearAttentionShape& shape,
                                      BackendKind backend, int threads) {
  if (backend == BackendKind::kReference) return 0;
  if (backend == BackendKind::kCuda) {
    return CudaLinearAttentionWorkspaceBytes(stage, shape);
  }
  const LinearAttentionPlan plan = PlanLinearAttention(stage, shape, threads);
  const int64_t tasks = shape.batch * CeilDiv(shape.heads, plan.task_heads);
  const int64_t active = std::min<int64_t>(threads, tasks);
  const int64_t bytes = plan.scratch_elements * shape.element_bytes;
  return active * RoundUp(bytes, kBytesAlignment);
}

}  // namespace longspan::kernels
