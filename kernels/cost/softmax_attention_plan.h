// How the CPU backend tiles softmax attention, and its scratch memory: pure
// functions of the shape.
#pragma once

#include <cstdint>

#include "kernels/cost/workspace.h"

namespace longspan::kernels {

// Queries and keys of a tile: a 64 x 64 tile of scores and one of gradients
// stay in the L1 cache, and packing a block costs little beside using it.
inline constexpr int64_t kAttentionBlock = 64;

// Blocks of queries that take one walk over the keys: what fetching and packing
// a block of keys costs is shared by so many products, and what the queries
// keep still fits the L2 cache.
inline constexpr int64_t kAttentionQueryBlocks = 4;

struct SoftmaxAttentionPlan {
  int64_t query_blocks = 0;
  int64_t key_blocks = 0;
  int64_t query_blocks_together = 0;  // at most, on one walk
  int64_t range_bytes = 0;       // visible keys of each query and each block
  int64_t scratch_elements = 0;  // one thread, a multiple of 16
};

SoftmaxAttentionPlan PlanSoftmaxAttention(bool backward,
                                          const SoftmaxAttentionShape& shape);

}  // namespace longspan::kernels
