// Tiles, segments and workspace of the CUDA kernels: pure functions.
#include <cstdint>

#include "gtest/gtest.h"
#include "kernels/cost/cuda_linear_attention_plan.h"
#include "kernels/cost/cuda_plan_device.h"

namespace longspan::kernels {
namespace {

using Stage = LinearAttentionStage;

constexpr Stage kStages[] = {Stage::kSummarise, Stage::kOutputs,
                             Stage::kSummariseBackward, Stage::kGradients};

LinearAttentionShape Bf16(int64_t batch, int64_t tokens, int64_t heads,
                          int64_t key_dim, int64_t value_dim) {
  return {batch, tokens, heads, key_dim, value_dim, 2};
}

TEST(CudaLinearAttentionPlan, SegmentsTileTheRange) {
  for (int64_t tokens : {int64_t{1}, int64_t{63}, int64_t{64}, int64_t{65},
                         int64_t{1000}, int64_t{32768}, int64_t{1} << 21,
                         (int64_t{1} << 31) / (16 * 128) + 77}) {
    for (int64_t heads : {1, 3, 16, 96}) {
      for (Stage stage : kStages) {
        const CudaLinearAttentionPlan plan = PlanCudaLinearAttention(
            stage, Bf16(1, tokens, heads, 128, 128), true);
        EXPECT_EQ(plan.chunks, (tokens + 63) / 64);
        EXPECT_GE(plan.segments * plan.segment_chunks, plan.chunks);
        EXPECT_LT((plan.segments - 1) * plan.segment_chunks, plan.chunks);
      }
    }
  }
}

TEST(CudaLinearAttentionPlan, FewHeadsOfALongTextFillTheChip) {
  for (int64_t tokens : {int64_t{32768}, int64_t{1} << 20, int64_t{1} << 21}) {
    const CudaLinearAttentionPlan plan = PlanCudaLinearAttention(
        Stage::kOutputs, Bf16(1, tokens, 16, 128, 128), false);
    EXPECT_GE(16 * plan.segments, kCudaPlanSms) << tokens;
  }
}

TEST(CudaLinearAttentionPlan, ShortSegmentsDoNotPay) {
  for (int64_t tokens : {64, 256, 512, 1024}) {
    const CudaLinearAttentionPlan plan = PlanCudaLinearAttention(
        Stage::kOutputs, Bf16(1, tokens, 1, 128, 128), false);
    EXPECT_TRUE(plan.segments == 1 || plan.segment_chunks >= 8) << tokens;
  }
}

TEST(CudaLinearAttentionPlan, ManyHeadsNeedNoFirstPass) {
  const CudaLinearAttentionPlan plan = PlanCudaLinearAttention(
      Stage::kOutputs, Bf16(4, 4096, 66, 128, 128), false);
  EXPECT_EQ(plan.segments, 1);
}

TEST(CudaLinearAttentionPlan, GateGradientsAreSummedOverShortSegments) {
  const CudaLinearAttentionPlan plan = PlanCudaLinearAttention(
      Stage::kGradients, Bf16(8, 65536, 64, 128, 128), true);
  EXPECT_LE(plan.segment_chunks * 64, 1024);
}

TEST(CudaLinearAttentionPlan, WorkspaceCoversEitherKindOfCall) {
  for (Stage stage : kStages) {
    const LinearAttentionShape shape = Bf16(1, 100000, 16, 128, 64);
    const int64_t bytes =
        LinearAttentionWorkspaceBytes(stage, shape, BackendKind::kCuda, 1);
    EXPECT_GE(bytes, PlanCudaLinearAttention(stage, shape, false).bytes);
    EXPECT_GE(bytes, PlanCudaLinearAttention(stage, shape, true).bytes);
    EXPECT_EQ(bytes % 64, 0);
  }
}

TEST(CudaLinearAttentionPlan, TilesCoverTheColumns) {
  EXPECT_EQ(LinearZTiles(64, 64), 1);
  EXPECT_EQ(LinearZTiles(64, 65), 2);
  EXPECT_EQ(LinearZTiles(65, 128), 1);
  EXPECT_EQ(LinearZTiles(256, 256), 2);
  EXPECT_EQ(LinearTileFor(64, false), LinearTileKind::kY64);
  EXPECT_EQ(LinearTileFor(65, true), LinearTileKind::kGeneral128);
  EXPECT_EQ(LinearTileFor(129, false), LinearTileKind::kY256);
}

// The figures of docs/kernels.md: 1.05 M token-heads of 128, bf16.
TEST(CudaLinearAttentionPlan, PredictionIsBelowTheBar) {
  const LinearAttentionShape shape = Bf16(1, 32768, 32, 128, 128);
  const double forward =
      PredictCudaLinearAttention(Stage::kOutputs, shape, false).milliseconds;
  const double backward =
      PredictCudaLinearAttention(Stage::kGradients, shape, false).milliseconds;
  EXPECT_GT(forward, 0.25);  // q, k, v and o once
  EXPECT_LT(forward, 0.6);
  EXPECT_LT(forward + backward, 2.0);
}

}  // namespace
}  // namespace longspan::kernels
