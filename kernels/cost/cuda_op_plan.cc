#include "kernels/cost/cuda_op_plan.h"

#include <algorithm>

#include "common/base/divide.h"
#include "kernels/cost/cuda_plan_device.h"

namespace longspan::kernels {
namespace {

// Threads that keep the memory busy when each has a few loads in flight.
constexpr int64_t kBusyThreads = kCudaPlanSms * 1024;

constexpr int64_t kWarp = 32;
// Partial sums of d_weight: two blocks per multiprocessor, 8 rows at least.
constexpr int64_t kNormPartials = 2 * kCudaPlanSms;
constexpr int64_t kNormPartialRows = 8;

constexpr int64_t kMinRunTokens = 8;

constexpr int64_t kEmbedBlocks = 4 * kCudaPlanSms;

constexpr int64_t kLogitSlabBytes = int64_t{1} << 29;
constexpr int64_t kMaxLogitSlabRows = 8192;
constexpr int64_t kMinLogitSlabRows = 128;
constexpr int64_t kLogitAlignment = 32;  // elements: 128 bytes of f32

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
  const int64_t row_packs = std::max<int64_t>(1, CeilDiv(size, kCudaPack));
  plan.packs = row_packs <= kWarp ? 1 : row_packs <= 2 * kCudaThreads ? 2 : 4;
  const int64_t lanes = PowerOfTwoAtLeast(CeilDiv(row_packs, plan.packs));
  plan.lanes = static_cast<int>(std::min<int64_t>(lanes, kCudaThreads));
  plan.teams = kCudaThreads / plan.lanes;
  return plan;
}

}  // namespace

int64_t CudaBlocks(int64_t items) { return CeilDiv(items, kCudaThreads); }

CudaNormPlan PlanCudaNorm(int64_t rows, int64_t size) {
  CudaNormPlan plan = TeamsOf(size);
  plan.blocks = CeilDiv(rows, plan.teams);
  return plan;
}

CudaNormPlan PlanCudaNormBackward(int64_t rows, int64_t size) {
  CudaNormPlan plan = TeamsOf(size);
  plan.blocks =
      std::clamp<int64_t>(CeilDiv(rows, kNormPartialRows), 1, kNormPartials);
  return plan;
}

CudaRotaryPlan PlanCudaRotary(int64_t tokens, int64_t rows, int64_t half) {
  CudaRotaryPlan plan;
  plan.packs = CeilDiv(half, kCudaPack);
  // All rows of a token in one thread share its angles; only a few tokens make
  // it worth computing them again.
  const int64_t threads = std::max<int64_t>(1, tokens * plan.packs);
  const int64_t parts = std::clamp<int64_t>(kBusyThreads / threads, 1,
                                            std::max<int64_t>(1, rows));
  plan.rows_per_item = std::max<int64_t>(1, CeilDiv(rows, parts));
  plan.parts = CeilDiv(rows, plan.rows_per_item);
  plan.items = tokens * plan.packs * plan.parts;
  return plan;
}

CudaConvolutionPlan PlanCudaConvolution(int64_t batch, int64_t tokens,
                                        int64_t channels, int64_t kernel) {
  CudaConvolutionPlan plan;
  // Eight taps of eight channels would not fit into the registers.
  plan.taps = kernel <= 4 ? 4 : 8;
  plan.width = kernel <= 4 ? kCudaPack : 2;
  plan.packs = CeilDiv(channels, plan.width);
  const int64_t walkers = std::max<int64_t>(1, batch * plan.packs);
  const int64_t most = std::max<int64_t>(1, CeilDiv(tokens, kMinRunTokens));
  const int64_t runs =
      std::clamp<int64_t>(CeilDiv(kBusyThreads, walkers), 1, most);
  plan.run_tokens = std::max<int64_t>(1, CeilDiv(tokens, runs));
  plan.runs = std::max<int64_t>(1, CeilDiv(tokens, plan.run_tokens));
  plan.items = batch * plan.runs * plan.packs;
  return plan;
}

CudaEmbedPlan PlanCudaEmbedBackward(int64_t vocabulary, int64_t size) {
  CudaEmbedPlan plan;
  const int64_t row_packs = std::max<int64_t>(1, CeilDiv(size, kCudaPack));
  plan.lanes = static_cast<int>(
      std::min<int64_t>(PowerOfTwoAtLeast(row_packs), kCudaThreads / 2));
  plan.teams = kCudaThreads / plan.lanes;
  plan.column_tiles = CeilDiv(size, plan.lanes * kCudaPack);
  const int64_t slices = std::max<int64_t>(
      1, kEmbedBlocks / std::max<int64_t>(1, plan.column_tiles));
  plan.slice_rows = std::max<int64_t>(1, CeilDiv(vocabulary, slices));
  plan.slices = CeilDiv(vocabulary, plan.slice_rows);
  return plan;
}

int64_t CudaLogitStride(int64_t vocabulary) {
  return RoundUp(vocabulary, kLogitAlignment);
}

int64_t CudaCrossEntropySlabRows(int64_t rows, int64_t vocabulary) {
  const int64_t row_bytes = std::max<int64_t>(1, CudaLogitStride(vocabulary)) *
                            static_cast<int64_t>(sizeof(float));
  const int64_t fitting =
      kLogitSlabBytes / row_bytes / kMinLogitSlabRows * kMinLogitSlabRows;
  const int64_t slab =
      std::clamp(fitting, kMinLogitSlabRows, kMaxLogitSlabRows);
  return std::max<int64_t>(1, std::min(rows, slab));
}

}  // namespace longspan::kernels
