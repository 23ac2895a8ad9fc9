// How the byte-bound ops are cut for a GPU: pure functions of the shape, so
// that sums run in the same order on every run and every GPU. Grids have one
// dimension; all sizes are 64 bits wide.
//
// The numbers aim at 132 multiprocessors (H100, H200) with about a thousand
// threads in flight on each; fewer make the same launches slower, not wrong.
#pragma once

#include <cstdint>

namespace longspan::kernels {

// Threads of a block, and elements that a thread takes at once.
inline constexpr int kCudaThreads = 256;
inline constexpr int64_t kCudaPack = 8;

// Blocks of kCudaThreads threads with one item each.
int64_t CudaBlocks(int64_t items);

// RMSNorm. A row of `size` elements belongs to a team of `lanes` threads (a
// power of two), `teams` of which make a block; a thread keeps `packs` packs
// of the row in registers. Rows beyond kCudaNormSize elements do not fit.
inline constexpr int64_t kCudaNormSize = 8192;
struct CudaNormPlan {
  int lanes = 1;
  int teams = kCudaThreads;
  int packs = 1;       // 1, 2 or 4
  int64_t blocks = 0;  // forward: one row a team; backward: teams walk rows
};
CudaNormPlan PlanCudaNorm(int64_t rows, int64_t size);
// `rows` is M and decides the number of partial sums of d_weight, which is
// also the number of blocks.
CudaNormPlan PlanCudaNormBackward(int64_t rows, int64_t size);

// Rotary. An item is one pack of pairs of one token for some of the
// batch * heads rows.
struct CudaRotaryPlan {
  int64_t packs = 0;          // per token
  int64_t rows_per_item = 0;  // of batch * heads
  int64_t parts = 0;          // items per token and pack
  int64_t items = 0;
};
CudaRotaryPlan PlanCudaRotary(int64_t tokens, int64_t rows, int64_t half);
// Pairs of a head that fit into the kernel's parameters.
inline constexpr int64_t kCudaRotaryPairs = 256;

// Short convolution. An item is a pack of `width` channels over a run of
// tokens; the backward op makes one partial sum of d_weight per run. `taps`,
// the inputs that a thread keeps, is at least the kernel size.
struct CudaConvolutionPlan {
  int taps = 4;            // 4 or 8
  int width = kCudaPack;   // 8 or, beside 8 taps, 2
  int64_t packs = 0;       // of channels
  int64_t run_tokens = 0;  // at least 1
  int64_t runs = 0;        // per batch entry
  int64_t items = 0;
};
CudaConvolutionPlan PlanCudaConvolution(int64_t batch, int64_t tokens,
                                        int64_t channels, int64_t kernel);

// Gradient of the embedding. A block owns the table rows of one slice and the
// columns of one tile: it reads all ids and adds the rows that it owns in
// order. Within a block, team t of `lanes` threads owns every teams-th row.
struct CudaEmbedPlan {
  int lanes = 1;
  int teams = kCudaThreads;
  int64_t slice_rows = 1;
  int64_t slices = 0;
  int64_t column_tiles = 0;
};
CudaEmbedPlan PlanCudaEmbedBackward(int64_t vocabulary, int64_t size);

// Fused cross-entropy head: rows of logits at once, and elements between two
// rows of them (f32; the gradients overwrite them in place).
//
// The weight's gradient is read and written once per slab: 8 bytes for every
// 6 * rows FLOP, which a thousand rows make cheap.
int64_t CudaCrossEntropySlabRows(int64_t rows, int64_t vocabulary);
int64_t CudaLogitStride(int64_t vocabulary);

// Elements of one block of the multi-tensor ops.
inline constexpr int64_t kCudaAdamWBlock = 8192;
inline constexpr int64_t kCudaSquareBlock = 65536;

// Column sums of partial rows: columns of a block and rows that are added up
// beside each other.
inline constexpr int kCudaSumColumns = 32;
inline constexpr int kCudaSumSlices = kCudaThreads / kCudaSumColumns;

// Columns per block of the log gate's bias gradient.
inline constexpr int kCudaGateColumns = 4;

}  // namespace longspan::kernels
