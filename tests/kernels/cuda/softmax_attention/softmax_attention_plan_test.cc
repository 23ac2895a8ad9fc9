// The plan against the limits of devices, and the ranges of tokens against
// VisibleKeys.
#include "gtest/gtest.h"
#include "kernels/api/softmax_attention_operands.h"
#include "kernels/cost/cuda_softmax_attention_plan.h"
#include "kernels/cuda/softmax_attention_call.h"
#include "kernels/cuda/softmax_attention_ranges.h"
#include "tests/support/attention/softmax_attention_cases.h"

namespace longspan::kernels::cuda {
namespace {

constexpr int kSharedBytesOfBlock = 163 * 1024;  // sm_80

TEST(CudaSoftmaxAttentionPlan, TilesFitSharedMemory) {
  for (int dim : {64, 128, 256}) {
    for (int planes : {1, 2}) {
      for (int rows : {16, 32}) {
        if (rows == 32 && dim * planes > 128) continue;
        EXPECT_LE(CudaAttentionForwardTile(dim, planes, rows).shared_bytes,
                  kSharedBytesOfBlock);
      }
      EXPECT_LE(CudaAttentionBackwardTile(dim, planes).shared_bytes,
                kSharedBytesOfBlock);
    }
  }
}

TEST(CudaSoftmaxAttentionPlan, LongSequencesFillTheChipUnsplit) {
  const CudaAttentionForwardPlan plan =
      PlanCudaAttentionForward({1, 32768, 32768, 32, 8, 128, 2});
  EXPECT_EQ(plan.splits, 1);
  EXPECT_EQ(plan.warp_rows, 32);
  EXPECT_EQ(plan.grid.blocks, 32 * 256);
  EXPECT_EQ(plan.workspace_bytes, 0);
}

TEST(CudaSoftmaxAttentionPlan, DecodeSharesKeysAndFillsOneWave) {
  const CudaAttentionForwardPlan plan =
      PlanCudaAttentionForward({1, 1, 131072, 32, 8, 128, 2});
  EXPECT_EQ(plan.packed_heads, 4);
  EXPECT_EQ(plan.grid.units, 8);
  EXPECT_EQ(plan.splits, 33);  // 2 * 132 / 8
  EXPECT_EQ(plan.grid.blocks, 264);
}

// Each split keeps at least four tiles of keys.
TEST(CudaSoftmaxAttentionPlan, ShortKeysAreNotSplit) {
  EXPECT_EQ(PlanCudaAttentionForward({1, 1, 448, 4, 4, 64, 2}).splits, 1);
  EXPECT_EQ(PlanCudaAttentionForward({1, 1, 449, 4, 4, 64, 2}).splits, 2);
}

TEST(CudaSoftmaxAttentionPlan, CountsOperations) {
  const SoftmaxAttentionShape shape = {2, 64, 64, 4, 4, 128, 2};
  EXPECT_EQ(CausalPairs(shape), 64 * 65 / 2);
  const CudaAttentionCost forward =
      CudaSoftmaxAttentionCost(false, shape, CausalPairs(shape));
  EXPECT_EQ(forward.useful_flops, 4.0 * 128 * 8 * 2080);
  EXPECT_EQ(forward.bytes, 4.0 * 2 * 64 * 4 * 128 * 2);
  const CudaAttentionCost backward =
      CudaSoftmaxAttentionCost(true, shape, CausalPairs(shape));
  EXPECT_EQ(backward.useful_flops, 2.5 * forward.useful_flops);
  EXPECT_EQ(backward.executed_flops, 3.5 * forward.useful_flops);
}

TEST(CudaSoftmaxAttentionRanges, AgreeWithVisibleKeysBothWays) {
  for (const SoftmaxAttentionCase& c : SoftmaxAttentionCases()) {
    SCOPED_TRACE(c.name);
    const SoftmaxAttentionProblem problem(c, DType::kF32);
    const SoftmaxAttentionInputs& inputs = problem.inputs();
    AttentionVisibility visible = {};
    visible.query_tokens = static_cast<int>(c.query_tokens);
    visible.key_tokens = static_cast<int>(c.key_tokens);
    visible.causal = c.mask != AttentionMask::kNone;
    visible.window = c.window;
    visible.query_offset = c.query_offset;
    visible.starts = inputs.documents.starts;
    visible.start_count = inputs.documents.count;
    for (int i = 0; i < visible.query_tokens; ++i) {
      const KeyRange keys = VisibleKeys(inputs, i);
      const AttentionRange range = KeysOfQuery(visible, i);
      for (int j = 0; j < visible.key_tokens; ++j) {
        const bool sees = keys.begin <= j && j < keys.end;
        ASSERT_EQ(range.begin <= j && j < range.end, sees) << i << " " << j;
        const AttentionRange queries = QueriesOfKey(visible, j);
        ASSERT_EQ(queries.begin <= i && i < queries.end, sees) << i << " " << j;
      }
    }
  }
}

TEST(CudaSoftmaxAttentionCall, RefusesByName) {
  SoftmaxAttentionCase c;
  c.head_dim = 264;
  const SoftmaxAttentionProblem wide(c, DType::kBF16);
  HostTensor o(DType::kBF16, {1, 1, 1, 264}), lse(DType::kF32, {1, 1, 1});
  EXPECT_EQ(PrepareSoftmaxForward(wide.inputs(), o.view(), lse.view(), {})
                .status()
                .message(),
            "SoftmaxAttention on cuda: head dimension 264 is beyond 256; the "
            "cpu backend has up to 512");
  c.head_dim = 16;
  const SoftmaxAttentionProblem exact(c, DType::kF64);
  HostTensor o64(DType::kF64, {1, 1, 1, 16}), lse64(DType::kF64, {1, 1, 1});
  EXPECT_FALSE(
      PrepareSoftmaxForward(exact.inputs(), o64.view(), lse64.view(), {}).ok());
}

}  // namespace
}  // namespace longspan::kernels::cuda
