// How the CUDA backend cuts a linear-attention call into segments and tiles,
// its workspace, and what it should cost: pure functions of the shape.
//
// A range is walked by chunks of 64 tokens. To fill the chip with few heads it
// is cut into segments that run side by side: a first pass sums what each adds
// to the state, a fold composes these into the state that enters each, and a
// second pass writes the outputs. One segment needs no first pass.
//
// Gradients are the same second pass with other roles (kernels/cuda/
// linear_attention_params.h): d_q forward, d_k and d_v in reverse, in one
// launch, so that blocks that read the same tokens meet in the L2 cache. This
// takes the place of one reverse kernel that reads states saved every 256
// tokens: no state is saved for backward (the interface has no place to keep
// forward's), d_k != d_v needs no sums of partial tiles, and one kernel is
// verified instead of two; the price is 1.2 times the bytes where L2 serves the
// shared reads.
//
// Registers of the second pass, per thread: the state is y_pad / 2, an output
// tile 32. Shared memory: two stages of three operands of 64 tokens.
#pragma once

#include <cstdint>

#include "kernels/cost/workspace.h"

namespace longspan::kernels {

// Largest head size of the CUDA kernels.
inline constexpr int64_t kCudaMaxHeadDim = 256;

// Y padded to 64, 128 or 256. General tiles take f32 and unaligned operands.
enum class LinearTileKind {
  kY64,
  kY128,
  kY256,
  kGeneral64,
  kGeneral128,
  kGeneral256
};
LinearTileKind LinearTileFor(int64_t y_dim, bool general);
// Columns of Z that one block owns, and blocks that cover z_dim.
int64_t LinearZTile(int64_t y_dim);
int64_t LinearZTiles(int64_t y_dim, int64_t z_dim);

// Byte offsets in the workspace; `bytes` is its size.
struct CudaLinearAttentionPlan {
  int64_t chunks = 0;
  int64_t segments = 0;
  int64_t segment_chunks = 0;
  int64_t tables = 0;         // decays in every chunk
  int64_t segment_log2 = 0;   // decay of every segment
  int64_t entering_log2 = 0;  // decays before and after every segment
  int64_t following_log2 = 0;
  int64_t states = 0;      // segments + 1 states
  int64_t d_states = 0;    // the same; gradients only
  int64_t query_dots = 0;  // per token; gated gradients only
  int64_t key_dots = 0;
  int64_t bytes = 0;
};

// `gated`: the gradients of the gates are wanted.
CudaLinearAttentionPlan PlanCudaLinearAttention(
    LinearAttentionStage stage, const LinearAttentionShape& shape, bool gated);

// Segments of at most `max_chunks` chunks that take the least time, when
// `blocks` blocks work on each and `slots` blocks run at once. At least 8
// chunks each, so that a state weighs little beside its tokens.
int64_t ChooseSegments(int64_t chunks, int64_t blocks, int64_t slots,
                       int64_t max_chunks);

// Enough for either kind of call.
int64_t CudaLinearAttentionWorkspaceBytes(LinearAttentionStage stage,
                                          const LinearAttentionShape& shape);

// Prediction, to be confronted with measurement: bytes that leave or enter
// HBM, operations, and the time of an H200 at 4.3 TB/s and 60 % of 790 TFLOP/s.
struct CudaLinearAttentionCost {
  double bytes = 0;
  double operations = 0;
  double milliseconds = 0;
};
CudaLinearAttentionCost PredictCudaLinearAttention(
    LinearAttentionStage stage, const LinearAttentionShape& shape, bool gated);

}  // namespace longspan::kernels
