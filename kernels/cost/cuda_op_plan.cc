#include "kernels/cost/cuda_op_plan.h"

#include <algorithm>

namespace longspan::kernels {
namespace {

constexpr int64_t kMultiprocessors = 132;
// Threads that keep the memory busy when each has a few loads in flight.
constexpr int64_t kBusyThreads = kMultiprocessors * 1024;

constexpr int64_t kWarp = 32;
// Partial sums of d_weight: two blocks per multiprocessor, 8 rows at least.
constexpr int64_t kNormPartials = 2 * kMultiprocessors;
constexpr int64_t kNormPartialRows = 8;

constexpr int64_t kMinRunTokens = 8;

constexpr int64_t kEmbedBlocks = 4 * kMultiprocessors;

constexpr int64_t kSlabBytes = int64_t{1} << 29;
constexpr int64_t kMaxSlabRows = 8192;
constexpr int64_t kMinSlabRows = 128;
constexpr int64_t kLogitAlignment = 32;  // elements: 128 bytes of f32

int64_t CeilDivide(int64_t a, int64_t b) { return (a + b - 1) / b; }

int64_t PowerOfTwoAtLeast(int64_t x) {
  int64_t power = 1;
  while (power < x) power *= 2;
  return power;
}

// A warp at most while one pack per thread is enough: its threads exchange sums
// without a barrier. Then two packs, so that two blocks fit a multiprocessor
// and one loads while the other waits; four only where two are not enough.
CudaNormPlan TeamsOf(int64_t size) {
  CudaNormPlan plan;
  const int64_t row_packs = std::max<int64_t>(1, CeilDivide(size, kCudaPack));
  plan.packs = row_packs <= kWarp ? 1 : row_packs <= 2 * kCudaThreads ? 2 : 4;
  const int64_t lanes = PowerOfTwoAtLeast(CeilDivide(row_packs, plan.packs));
  plan.lanes = static_cast<int>(std::min<int64_t>(lanes, kCudaThreads));
  plan.teams = kCudaThreads / plan.lanes;
  return plan;
}

}  // namespace

int64_t CudaBlocks(int64_t items) { return CeilDivide(items, kCudaThreads); }

CudaNormPlan PlanCudaNorm(int64_t rows, int64_t size) {
  CudaNormPlan plan = TeamsOf(size);
  plan.blocks = CeilDivide(rows, plan.teams);
  return plan;
}

CudaNormPlan PlanCudaNormBackward(int64_t rows, int64_t size) {
  CudaNormPlan plan = TeamsOf(size);
  plan.blocks =
      std::clamp<int64_t>(CeilDivide(rows, kNormPartialRows), 1, kNormPartials);
  return plan;
}

CudaRotaryPlan PlanCudaRotary(int64_t tokens, int64_t rows, int64_t half) {
  CudaRotaryPlan plan;
  plan.packs = CeilDivide(half, kCudaPack);
  // All rows of a token in one thread share its angles; only a few tokens make
  // it worth computing them again.
  const int64_t threads = std::max<int64_t>(1, tokens * plan.packs);
  const int64_t parts = std::clamp<int64_t>(kBusyThreads / threads, 1,
                                            std::max<int64_t>(1, rows));
  plan.rows_per_item = std::max<int64_t>(1, CeilDivide(rows, parts));
  plan.parts = CeilDivide(rows, plan.rows_per_item);
  plan.items = tokens * plan.packs * plan.parts;
  return plan;
}

CudaConvolutionPlan PlanCudaConvolution(int64_t batch, int64_t tokens,
                                        int64_t channels, int64_t kernel) {
  CudaConvolutionPlan plan;
  // Eight taps of eight channels would not fit into the registers.
  plan.taps = kernel <= 4 ? 4 : 8;
  plan.width = kernel <= 4 ? kCudaPack : 2;
  plan.packs = CeilDivide(channels, plan.width);
  const int64_t walkers = std::max<int64_t>(1, batch * plan.packs);
  const int64_t most = std::max<int64_t>(1, CeilDivide(tokens, kMinRunTokens));
  const int64_t runs =
      std::clamp<int64_t>(CeilDivide(kBusyThreads, walkers), 1, most);
  plan.run_tokens = std::max<int64_t>(1, CeilDivide(tokens, runs));
  plan.runs = std::max<int64_t>(1, CeilDivide(tokens, plan.run_tokens));
  plan.items = batch * plan.runs * plan.packs;
  return plan;
}

CudaEmbedPlan PlanCudaEmbedBackward(int64_t vocabulary, int64_t size) {
  CudaEmbedPlan plan;
  const int64_t row_packs = std::max<int64_t>(1, CeilDivide(size, kCudaPack));
  plan.lanes = static_cast<int>(
      std::min<int64_t>(PowerOfTwoAtLeast(row_packs), kCudaThreads / 2));
  plan.teams = kCudaThreads / plan.lanes;
  plan.column_tiles = CeilDivide(size, plan.lanes * kCudaPack);
  const int64_t slices = std::max<int64_t>(
      1, kEmbedBlocks / std::max<int64_t>(1, plan.column_tiles));
  plan.slice_rows = std::max<int64_t>(1, CeilDivide(vocabulary, slices));
  plan.slices = CeilDivide(vocabulary, plan.slice_rows);
  return plan;
}

int64_t CudaLogitStride(int64_t vocabulary) {
  return CeilDivide(vocabulary, kLogitAlignment) * kLogitAlignment;
}

int64_t CudaCrossEntropySlabRows(int64_t rows, int64_t vocabulary) {
  const int64_t row_bytes = std::max<int64_t>(1, CudaLogitStride(vocabulary)) *
                            static_cast<int64_t>(sizeof(float));
  const int64_t fitting = kSlabBytes / row_bytes / kMinSlabRows * kMinSlabRows;
  const int64_t slab = std::clamp(fitting, kMinSlabRows, kMaxSlabRows);
  return std::max<int64_t>(1, std::min(rows, slab));
}

}  // namespace longspan::kernels
