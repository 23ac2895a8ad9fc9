// How the CPU backend cuts a linear-attention call into chunks, and the scratch
// memory of one thread: pure functions of the shape.
//
// All sizes count elements, of matrices padded as in vector_pad.h.
#pragma once

#include <cstdint>

#include "kernels/cost/workspace.h"

namespace longspan::kernels {

// Tokens of a chunk. Work per token grows with the chunk inside it and shrinks
// with it at its border (64 (dk + dv) + 4 dk dv at 64); 64 also keeps the
// 64 x 64 score tile in the L1 cache.
inline constexpr int64_t kChunk = 64;

// Tokens that decays of one number a channel are anchored over: products inside
// such a strip cost kStrip / 2 multiplications a token and channel.
inline constexpr int64_t kStrip = 16;

// Rows of key_dim numbers that describe such decays of a chunk: three tables of
// tokens, four of strips, two of the chunk.
inline constexpr int64_t kGateTableRows = 3 * kChunk + 4 * kChunk / kStrip + 2;

// Most heads that one thread walks together, chunk by chunk.
inline constexpr int64_t kMaxGroupHeads = 16;

struct LinearAttentionPlan {
  int64_t blocks = 0;           // ceil(tokens / kChunk)
  int64_t heads_together = 0;   // at most kMaxGroupHeads
  int64_t task_heads = 0;       // that one thread takes, some together
  int64_t group_blocks = 0;     // blocks between states that backward keeps
  int64_t groups = 0;           // of blocks
  int64_t state_elements = 0;   // one padded state
  int64_t head_elements = 0;    // scratch of one head: states, decay tables
  int64_t shared_elements = 0;  // scratch of a chunk, used head after head
  // Of it, at its end: d_q and d_k of a chunk of one head, where heads share.
  int64_t key_gradient_elements = 0;
  int64_t scratch_elements = 0;  // one thread, a multiple of kVectorPad
};

LinearAttentionPlan PlanLinearAttention(LinearAttentionStage stage,
                                        const LinearAttentionShape& shape,
                                        int threads);

}  // namespace longspan::kernels
