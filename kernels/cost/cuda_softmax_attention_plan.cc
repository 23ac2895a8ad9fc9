#include "kernels/cost/cuda_softmax_attention_plan.h"

#include <algorithm>

#include "common/base/divide.h"
#include "kernels/cost/cuda_plan_device.h"

namespace longspan::kernels {
namespace {

// Query tokens up to which the heads of a group become rows of one tile: more
// tokens fill a tile by themselves.
constexpr int64_t kPackTokens = 64;
// A split walks over at least this many tiles of keys, so that what it leaves
// in the workspace is little beside what it reads.
constexpr int64_t kSplitTiles = 4;
constexpr int64_t kMaxSplits = 128;
// Half of an H200's L2 cache.
constexpr int64_t kSectionBytes = int64_t{30} << 20;

int64_t Align(int64_t bytes) { return RoundUp(bytes, 256); }

int PadHeadDim(int64_t head_dim) {
  return head_dim <= 64 ? 64 : head_dim <= 128 ? 128 : 256;
}

int Planes(const SoftmaxAttentionShape& shape) {
  return shape.element_bytes == 2 ? 1 : 2;
}

CudaAttentionGrid MakeGrid(const CudaAttentionTile& tile, int64_t units,
                           int64_t rows, int64_t splits,
                           int64_t section_units) {
  CudaAttentionGrid grid;
  grid.tile = tile;
  grid.units = units;
  grid.row_tiles = CeilDiv(rows, tile.rows);
  // No batch or no heads: a grid without blocks.
  grid.section_units =
      std::clamp<int64_t>(section_units, 1, std::max<int64_t>(1, units));
  grid.blocks = units * grid.row_tiles * splits;
  return grid;
}

// How many streams of two tensors of `tokens` fit the section.
int64_t StreamsPerSection(const SoftmaxAttentionShape& shape, int64_t tokens) {
  const int64_t bytes = 2 * tokens * shape.head_dim * shape.element_bytes;
  return std::max<int64_t>(1, kSectionBytes / bytes);
}

// At most one wave of blocks.
int Splits(int64_t blocks, int64_t concurrent, int64_t key_tiles) {
  return static_cast<int>(std::clamp<int64_t>(
      concurrent / std::max<int64_t>(1, blocks), 1,
      std::clamp<int64_t>(key_tiles / kSplitTiles, 1, kMaxSplits)));
}

CudaAttentionForwardPlan PlanForward(const SoftmaxAttentionShape& shape,
                                     int splits, bool vectors) {
  const int64_t group = std::max<int64_t>(1, shape.heads / shape.key_heads);
  CudaAttentionForwardPlan plan;
  plan.padded_dim = PadHeadDim(shape.head_dim);
  plan.planes = Planes(shape);
  plan.packed_heads =
      shape.query_tokens <= kPackTokens ? static_cast<int>(group) : 1;
  plan.rows = shape.query_tokens * plan.packed_heads;
  const bool narrow = plan.padded_dim * plan.planes <= 128;
  plan.warp_rows =
      narrow && plan.planes == 1 && vectors && plan.rows > 64 ? 32 : 16;
  plan.splits = splits;
  const int64_t units = shape.batch * shape.heads / plan.packed_heads;
  plan.grid = MakeGrid(
      CudaAttentionForwardTile(plan.padded_dim, plan.planes, plan.warp_rows),
      units, plan.rows, splits,
      StreamsPerSection(shape, shape.key_tokens) * group / plan.packed_heads);
  if (splits == 1) return plan;
  const int64_t partial_rows = splits * units * plan.rows;
  plan.log_sum_offset = Align(partial_rows * plan.padded_dim * 4);
  plan.workspace_bytes = plan.log_sum_offset + Align(partial_rows * 4);
  return plan;
}

}  // namespace

CudaAttentionForwardPlan PlanCudaAttentionForwardSplit(
    const SoftmaxAttentionShape& shape, int splits) {
  return PlanForward(shape, splits, /*vectors=*/true);
}

CudaAttentionForwardPlan PlanCudaAttentionForwardByElements(
    const SoftmaxAttentionShape& shape) {
  return PlanForward(shape, /*splits=*/1, /*vectors=*/false);
}

CudaAttentionForwardPlan PlanCudaAttentionForward(
    const SoftmaxAttentionShape& shape) {
  const CudaAttentionForwardPlan whole =
      PlanCudaAttentionForwardSplit(shape, 1);
  const int splits = Splits(
      whole.grid.blocks,
      kCudaPlanSms * CudaAttentionForwardBlocks(whole.padded_dim, whole.planes,
                                                whole.warp_rows),
      CeilDiv(shape.key_tokens, whole.grid.tile.columns));
  return splits == 1 ? whole : PlanCudaAttentionForwardSplit(shape, splits);
}

CudaAttentionBackwardPlan PlanCudaAttentionBackward(
    const SoftmaxAttentionShape& shape) {
  const int64_t group = shape.heads / shape.key_heads;
  CudaAttentionBackwardPlan plan;
  plan.padded_dim = PadHeadDim(shape.head_dim);
  plan.planes = Planes(shape);
  plan.keys_and_values_together = plan.padded_dim <= 128;
  const CudaAttentionTile tile =
      CudaAttentionBackwardTile(plan.padded_dim, plan.planes);
  plan.by_key =
      MakeGrid(tile, shape.batch * shape.key_heads, shape.key_tokens, 1,
               StreamsPerSection(shape, group * shape.query_tokens));
  plan.by_query =
      MakeGrid(tile, shape.batch * shape.heads, shape.query_tokens, 1,
               StreamsPerSection(shape, shape.key_tokens) * group);
  const int64_t row_bytes =
      Align(shape.batch * shape.heads * shape.query_tokens * 4);
  plan.delta_offset = row_bytes;
  plan.workspace_bytes = 2 * row_bytes;
  return plan;
}

int64_t CudaSoftmaxAttentionWorkspaceBytes(bool backward,
                                           const SoftmaxAttentionShape& shape) {
  if (shape.head_dim > kCudaAttentionMaxHeadDim) return 0;  // refused
  return backward ? PlanCudaAttentionBackward(shape).workspace_bytes
                  : PlanCudaAttentionForward(shape).workspace_bytes;
}

// ---- Cost ------------------------------------------------------------------

double CausalPairs(const SoftmaxAttentionShape& shape) {
  const double queries = static_cast<double>(shape.query_tokens);
  const double keys = static_cast<double>(shape.key_tokens);
  return queries * (keys - queries) + queries * (queries + 1) / 2;
}

CudaAttentionCost CudaSoftmaxAttentionCost(bool backward,
                                           const SoftmaxAttentionShape& shape,
                                           double visible_pairs) {
  const double products = visible_pairs * 2.0 *
                          static_cast<double>(shape.head_dim) *
                          static_cast<double>(shape.batch * shape.heads);
  const double query_bytes =
      static_cast<double>(shape.batch * shape.heads * shape.query_tokens *
                          (shape.head_dim * shape.element_bytes));
  const double key_bytes =
      static_cast<double>(shape.batch * shape.key_heads * shape.key_tokens *
                          (shape.head_dim * shape.element_bytes));
  // Forward reads q, k, v and writes o; backward reads o and d_o besides and
  // writes d_q, d_k, d_v.
  if (!backward) {
    return {2 * products, 2 * products, 2 * query_bytes + 2 * key_bytes};
  }
  const double executed = shape.head_dim <= 128 ? 7 : 8;
  return {5 * products, executed * products, 4 * query_bytes + 4 * key_bytes};
}

double PredictCudaAttentionSeconds(bool backward,
                                   const SoftmaxAttentionShape& shape,
                                   double visible_pairs) {
  constexpr double kProductRate = 0.6 * 790e12;
  constexpr double kByteRate = 4.3e12;
  // Shared memory feeds 128 bytes a cycle; products and exponentials do not
  // overlap fully within a warp. Three quarters of the product rate is what
  // FlashAttention-2 reaches forward, two thirds backward.
  const double share = backward ? 2.0 / 3.0 : 0.75;
  const double planes = Planes(shape) == 1 ? 1.0 : 3.0;
  const CudaAttentionCost cost =
      CudaSoftmaxAttentionCost(backward, shape, visible_pairs);
  return std::max(planes * cost.executed_flops / (share * kProductRate),
                  cost.bytes / kByteRate);
}

}  // namespace longspan::kernels
