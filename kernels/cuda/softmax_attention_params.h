// What the host hands to the softmax-attention kernels, by value.
#pragma once

#include <cstdint>

namespace longspan::kernels::cuda {

// An operand [B, T, H, D] in device memory; strides count elements, D is
// contiguous.
struct AttentionOperand {
  const void* data;
  int64_t batch_stride;
  int64_t token_stride;
  int64_t head_stride;
};

struct AttentionResult {
  void* data;
  int64_t batch_stride;
  int64_t token_stride;
  int64_t head_stride;
};

// Which keys a query sees (softmax_attention.h of kernels/api says it in
// words). Query i stands at position query_offset + i.
struct AttentionVisibility {
  int query_tokens;
  int key_tokens;
  bool causal;     // also with a window
  int64_t window;  // 0: none
  int64_t query_offset;
  const int64_t* starts;  // of documents, in key positions
  int64_t start_count;
};

// The order of blocks: kernels/cost/cuda_softmax_attention_plan.h.
struct AttentionBlockOrder {
  int64_t units;
  int64_t section_units;
  int row_tiles;
  bool last_tile_first;
};

struct AttentionShapeParams {
  AttentionVisibility visible;
  AttentionBlockOrder order;
  int heads;
  int group;  // query heads per key head
  int head_dim;
  // All operands (results) of the call can be read (written) 16 bytes at a
  // time: head_dim and strides are multiples of 8 elements, addresses of 16
  // bytes.
  bool vectors;
  float scale;       // of scores
  float scale_log2;  // scale * log2(e)
};

struct SoftmaxForwardParams {
  AttentionShapeParams shape;
  AttentionOperand q, k, v;
  AttentionResult o;
  float* lse;  // [B, H, Tq]
  int64_t lse_batch_stride;
  int64_t lse_head_stride;
  int packed_heads;
  int rows;  // of a unit
  int splits;
  float* partial_o;        // [splits, units, rows, padded dim]
  float* partial_log_sum;  // [splits, units, rows], base 2
};

struct SoftmaxBackwardParams {
  AttentionShapeParams shape;
  AttentionOperand q, k, v, o, d_o;
  AttentionResult d_q, d_k, d_v;
  const float* lse;  // [B, H, Tq]
  int64_t lse_batch_stride;
  int64_t lse_head_stride;
  int64_t batch;
  // By the row pass, for the other two, [B, H, Tq] contiguous:
  float* log_sum;  // lse in base 2; +infinity for a query that sees no key
  float* delta;    // sum over D of o * d_o
};

}  // namespace longspan::kernels::cuda
