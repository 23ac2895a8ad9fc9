#include "kernels/cost/cuda_linear_attention_plan.h"

#include <algorithm>

#include "common/base/divide.h"
#include "kernels/cost/cuda_plan_device.h"

namespace longspan::kernels {
namespace {

using Stage = LinearAttentionStage;

constexpr int64_t kChunkTokens = 64;
constexpr int64_t kTableBytes = 512;  // 64 sums and spans of 4 bytes
constexpr int64_t kMinSegmentChunks = 8;
// A segment costs what loading, storing and folding its state costs: about as
// much as this many chunks.
constexpr int64_t kSegmentChunksOverhead = 4;
// The gates' gradients are sums over a segment, in which rounding of terms
// that cancel adds up: 1024 tokens keep it well below the bf16 tolerance.
constexpr int64_t kGatedSegmentChunks = 16;
constexpr int64_t kNoLimit = int64_t{1} << 40;
constexpr int64_t kAlignment = 256;

constexpr double kBytesPerMillisecond = 4.3e9;
constexpr double kOperationsPerMillisecond = 0.6 * 790e9;

int64_t YPad(int64_t y_dim) {
  return y_dim <= 64 ? 64 : y_dim <= 128 ? 128 : 256;
}

// Blocks that an SM runs at once: by shared memory and registers.
int64_t BlocksPerSm(int64_t y_dim, int64_t element_bytes) {
  if (element_bytes != 2) return 1;
  return y_dim <= 64 ? 4 : y_dim <= 128 ? 2 : 1;
}

bool IsBackward(Stage stage) {
  return stage == Stage::kGradients || stage == Stage::kSummariseBackward;
}

// Blocks of the slowest pass on one segment.
int64_t BlocksOnSegment(Stage stage, const LinearAttentionShape& shape) {
  const int64_t dk = shape.key_dim;
  const int64_t dv = shape.value_dim;
  int64_t tiles = LinearZTiles(dk, dv);
  if (stage == Stage::kGradients) tiles += 2 * LinearZTiles(dv, dk);
  // No batch or no heads: a plan without blocks.
  return std::max<int64_t>(1, tiles * shape.batch * shape.heads);
}

double PassMilliseconds(double bytes, double operations) {
  return std::max(bytes / kBytesPerMillisecond,
                  operations / kOperationsPerMillisecond);
}

}  // namespace

LinearTileKind LinearTileFor(int64_t y_dim, bool general) {
  switch (YPad(y_dim)) {
    case 64:
      return general ? LinearTileKind::kGeneral64 : LinearTileKind::kY64;
    case 128:
      return general ? LinearTileKind::kGeneral128 : LinearTileKind::kY128;
    default:
      return general ? LinearTileKind::kGeneral256 : LinearTileKind::kY256;
  }
}

int64_t LinearZTile(int64_t y_dim) { return YPad(y_dim) == 64 ? 64 : 128; }

int64_t LinearZTiles(int64_t y_dim, int64_t z_dim) {
  return CeilDiv(z_dim, LinearZTile(y_dim));
}

int64_t ChooseSegments(int64_t chunks, int64_t blocks, int64_t slots,
                       int64_t max_chunks) {
  const int64_t fewest = CeilDiv(chunks, max_chunks);
  const int64_t most =
      std::max(fewest, chunks / std::min(kMinSegmentChunks, max_chunks));
  const auto time = [&](int64_t segments) {
    const int64_t waves = CeilDiv(blocks * segments, slots);
    const int64_t walk = CeilDiv(chunks, segments) + kSegmentChunksOverhead;
    // The first pass moves half the bytes of the second.
    return waves * walk * (segments > 1 ? 3 : 2);
  };
  int64_t best = fewest;
  for (int64_t waves = 1; waves <= 8; ++waves) {
    const int64_t segments = std::clamp(waves * slots / blocks, fewest, most);
    if (time(segments) < time(best)) best = segments;
  }
  return best;
}

CudaLinearAttentionPlan PlanCudaLinearAttention(
    Stage stage, const LinearAttentionShape& shape, bool gated) {
  const int64_t sequences = shape.batch * shape.heads;
  const bool gradients = stage == Stage::kGradients;
  CudaLinearAttentionPlan plan;
  plan.chunks = CeilDiv(shape.tokens, kChunkTokens);
  const int64_t y_dim =
      gradients ? std::max(shape.key_dim, shape.value_dim) : shape.key_dim;
  const int64_t segments =
      ChooseSegments(plan.chunks, BlocksOnSegment(stage, shape),
                     kCudaPlanSms * BlocksPerSm(y_dim, shape.element_bytes),
                     gradients && gated ? kGatedSegmentChunks : kNoLimit);
  plan.segment_chunks = CeilDiv(plan.chunks, segments);
  plan.segments = CeilDiv(plan.chunks, plan.segment_chunks);

  const auto take = [&plan](int64_t bytes) {
    const int64_t offset = plan.bytes;
    plan.bytes += RoundUp(bytes, kAlignment);
    return offset;
  };
  const int64_t decays = 4 * plan.segments * sequences;
  const int64_t states =
      4 * (plan.segments + 1) * sequences * shape.key_dim * shape.value_dim;
  plan.tables = take(sequences * plan.chunks * kTableBytes);
  plan.segment_log2 = take(decays);
  plan.entering_log2 = take(decays);
  plan.following_log2 = take(decays);
  plan.states = take(IsBackward(stage) && !gradients ? 0 : states);
  plan.d_states = take(IsBackward(stage) ? states : 0);
  if (gradients && gated) {
    const int64_t dots = 4 * sequences * shape.tokens *
                         LinearZTiles(shape.value_dim, shape.key_dim);
    plan.query_dots = take(dots);
    plan.key_dots = take(dots);
  }
  return plan;
}

int64_t CudaLinearAttentionWorkspaceBytes(Stage stage,
                                          const LinearAttentionShape& shape) {
  return std::max(PlanCudaLinearAttention(stage, shape, false).bytes,
                  PlanCudaLinearAttention(stage, shape, true).bytes);
}

CudaLinearAttentionCost PredictCudaLinearAttention(
    Stage stage, const LinearAttentionShape& shape, bool gated) {
  const CudaLinearAttentionPlan plan =
      PlanCudaLinearAttention(stage, shape, gated);
  const double sequences = static_cast<double>(shape.batch * shape.heads);
  const double token_heads = sequences * static_cast<double>(shape.tokens);
  const double dk = static_cast<double>(shape.key_dim);
  const double dv = static_cast<double>(shape.value_dim);
  const double rows = token_heads * static_cast<double>(shape.element_bytes);
  const double tables = token_heads * 8;
  // Written by the first pass, read and written by the fold, read by the
  // second pass.
  const double state =
      4 * 4 * sequences * static_cast<double>(plan.segments) * dk * dv;
  const double summary_bytes = rows * (dk + dv) + tables;
  const double summary_operations = 2 * token_heads * dk * dv;
  const double walk_operations =
      token_heads * (2.0 * kChunkTokens * (dk + dv) + 4 * dk * dv);

  CudaLinearAttentionCost cost;
  const auto add = [&cost](double bytes, double operations) {
    cost.bytes += bytes;
    cost.operations += operations;
    cost.milliseconds += PassMilliseconds(bytes, operations);
  };
  const bool summarises = plan.segments > 1 || gated;
  add(tables, 0);
  switch (stage) {
    case Stage::kSummarise:
    case Stage::kSummariseBackward:
      add(summary_bytes + state / 2, summary_operations);
      break;
    case Stage::kOutputs:
      if (plan.segments > 1) add(summary_bytes + state, summary_operations);
      add(rows * 2 * (dk + dv) + tables, walk_operations);
      break;
    case Stage::kGradients:
      if (summarises) {
        add(2 * summary_bytes + 2 * state, 2 * summary_operations);
      }
      // d_k and d_v walk the same tokens together; d_q walks the other way.
      add(rows * (4 * dk + 4 * dv + (dk + dv)) + 3 * tables,
          3 * walk_operations);
      if (gated) add(rows * 2 * dk + 16 * token_heads, 0);
      break;
  }
  return cost;
}

}  // namespace longspan::kernels
