// Launch shapes of the byte-bound CUDA ops, also at sizes no test can run.
#include "kernels/cost/cuda_op_plan.h"

#include <gtest/gtest.h>

#include "kernels/cost/workspace.h"
#include "kernels/cuda/device/launch.h"

namespace longspan::kernels {
namespace {

constexpr int64_t kTokens = int64_t{1} << 31;  // above 32 bits with a sign

TEST(CudaOpPlanTest, TeamsCoverRowsOfEverySize) {
  for (int64_t size = 1; size <= kCudaNormSize; ++size) {
    const CudaNormPlan plan = PlanCudaNorm(1000, size);
    ASSERT_GE(plan.lanes * plan.packs * kCudaPack, size);
    ASSERT_EQ(plan.lanes * plan.teams, kCudaThreads);
    ASSERT_EQ(plan.lanes & (plan.lanes - 1), 0);
    ASSERT_GE(plan.blocks * plan.teams, 1000);
  }
}

TEST(CudaOpPlanTest, NormPartialSumsFitTheWorkspace) {
  for (int64_t rows : {int64_t{0}, int64_t{1}, int64_t{9}, kTokens}) {
    const int64_t blocks = PlanCudaNormBackward(rows, 2048).blocks;
    EXPECT_GE(blocks, 1);
    EXPECT_LE(blocks, 264);
    EXPECT_GE(
        RmsNormBackwardWorkspaceBytes(rows, 2048, 2, BackendKind::kCuda, 1),
        blocks * 2048 * 4);
  }
}

TEST(CudaOpPlanTest, RotaryCoversAllRows) {
  for (int64_t tokens : {int64_t{1}, int64_t{300}, int64_t{2} << 20}) {
    for (int64_t rows : {1, 7, 32}) {
      const CudaRotaryPlan plan = PlanCudaRotary(tokens, rows, 64);
      EXPECT_GE(plan.parts * plan.rows_per_item, rows);
      EXPECT_LT((plan.parts - 1) * plan.rows_per_item, rows);
      EXPECT_LE(CudaBlocks(plan.items), cuda::kMaxGridBlocks);
    }
  }
  EXPECT_EQ(PlanCudaRotary(1, 32, 64).parts, 32);
  EXPECT_EQ(PlanCudaRotary(1 << 20, 32, 64).parts, 1);
}

TEST(CudaOpPlanTest, ConvolutionRunsCoverTheSequence) {
  for (int64_t tokens : {int64_t{1}, int64_t{200}, kTokens}) {
    for (int64_t kernel : {2, 4, 5, 8}) {
      const CudaConvolutionPlan plan =
          PlanCudaConvolution(1, tokens, 6144, kernel);
      EXPECT_GE(plan.taps, kernel);
      EXPECT_GE(plan.runs * plan.run_tokens, tokens);
      EXPECT_LT((plan.runs - 1) * plan.run_tokens, tokens);
      EXPECT_LE(CudaBlocks(plan.items), cuda::kMaxGridBlocks);
      EXPECT_GE(ShortConvolutionBackwardWorkspaceBytes(
                    1, tokens, 6144, kernel, 2, BackendKind::kCuda, 1),
                plan.runs * 6144 * kernel * 4);
    }
  }
}

TEST(CudaOpPlanTest, EmbeddingSlicesCoverTheTable) {
  for (int64_t vocabulary : {1, 256, 32000, 262144}) {
    for (int64_t size : {8, 64, 1000, 2048, 16384}) {
      const CudaEmbedPlan plan = PlanCudaEmbedBackward(vocabulary, size);
      EXPECT_GE(plan.slices * plan.slice_rows, vocabulary);
      EXPECT_GE(plan.column_tiles * plan.lanes * kCudaPack, size);
      EXPECT_EQ(plan.lanes * plan.teams, kCudaThreads);
    }
  }
}

TEST(CudaOpPlanTest, SlabsOfLogitsAreBounded) {
  EXPECT_EQ(CudaCrossEntropySlabRows(5, 256), 5);
  EXPECT_EQ(CudaCrossEntropySlabRows(kTokens, 131072), 1024);
  EXPECT_EQ(CudaCrossEntropySlabRows(kTokens, 256), 8192);
  EXPECT_LE(CrossEntropyWorkspaceBytes(kTokens, 2048, 131072, 2,
                                       BackendKind::kCuda, 1),
            int64_t{513} << 20);
}

// 2^28 tokens of 8192 elements, a pack to a thread: 2^41 elements, and half of
// the grid.
TEST(CudaOpPlanTest, GridsHoldMoreElementsThan32BitsCount) {
  const int64_t packs = (int64_t{1} << 28) * 8192 / kCudaPack;
  EXPECT_EQ(CudaBlocks(packs), int64_t{1} << 30);
  EXPECT_LE(CudaBlocks(packs), cuda::kMaxGridBlocks);
}

}  // namespace
}  // namespace longspan::kernels
