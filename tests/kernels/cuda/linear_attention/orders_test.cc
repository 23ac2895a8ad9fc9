// What must not show in the results: the order of warps and blocks, and how a
// sequence is cut into segments.
#include <cstdint>

#include "gtest/gtest.h"
#include "kernels/cost/cuda_linear_attention_plan.h"
#include "tests/kernels/cuda/linear_attention/cuda_linear_attention.h"
#include "tests/support/attention/linear_attention_cases.h"
#include "tests/support/cuda_emulator/emulator.h"

namespace longspan::kernels::cuda {
namespace {

// Whatever order warps and blocks run in, the results have the same bits.
void ExpectSameInEveryOrder(const LinearAttentionProblem& problem,
                            Passes passes) {
  Device device;
  const LinearAttentionResults first = device.Run(problem, passes);
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const emulated::ScopedEmulatorOptions scoped(emulated::InOrder(seed));
    const LinearAttentionResults again = device.Run(problem, passes);
    EXPECT_EQ(again.summary_state, first.summary_state) << seed;
    EXPECT_EQ(again.o, first.o) << seed;
    EXPECT_EQ(again.final_state, first.final_state) << seed;
    EXPECT_EQ(again.d_summary_state, first.d_summary_state) << seed;
    EXPECT_EQ(again.d_q, first.d_q) << seed;
    EXPECT_EQ(again.d_k, first.d_k) << seed;
    EXPECT_EQ(again.d_v, first.d_v) << seed;
    EXPECT_EQ(again.d_log_gate, first.d_log_gate) << seed;
    EXPECT_EQ(again.d_initial_state, first.d_initial_state) << seed;
    EXPECT_EQ(emulated::TakeLaunchFailures(), "") << seed;
  }
}

TEST(CudaLinearAttentionOrders, DoNotMatterToOnePass) {
  for (DType dtype : {DType::kBF16, DType::kF32}) {
    ExpectSameInEveryOrder(
        LinearAttentionProblem(CaseNamed("ScalarB1T65H1K16V16"), dtype),
        Passes::kOne);
  }
}

TEST(CudaLinearAttentionOrders, DoNotMatterToTwoPasses) {
  ExpectSameInEveryOrder(
      LinearAttentionProblem(CaseNamed("ScalarB1T65H1K16V16"), DType::kBF16),
      Passes::kTwo);
}

// Long enough to be cut into segments: they must not show.
TEST(CudaLinearAttentionSegments, DoNotShow) {
  Device device;
  LinearAttentionCase c = CaseNamed("ScalarB1T913H1K16V16");
  c.tokens = 2200;
  for (Transition transition : {Transition::kIdentity, Transition::kScalar}) {
    c.transition = transition;
    const LinearAttentionProblem problem(c, DType::kBF16);
    ASSERT_GT(PlanCudaLinearAttention(LinearAttentionStage::kGradients,
                                      problem.shape(), true)
                  .segments,
              2);
    const LinearAttentionResults expected = Reference(problem, device.stream());
    for (Passes passes : {Passes::kOne, Passes::kTwo}) {
      if (passes == Passes::kTwo && transition == Transition::kIdentity) break;
      ExpectResults(device.Run(problem, passes), expected, DType::kBF16);
    }
    EXPECT_EQ(emulated::TakeLaunchFailures(), "");
  }
}

// Decays over segments are for more than one, or a state from elsewhere.
TEST(CudaLinearAttentionSegments, OneAloneHasNoDecays) {
  Device device;
  const LinearAttentionProblem problem(CaseNamed("ScalarB1T65H1K16V16"),
                                       DType::kBF16);
  for (ChunkTerms terms : {ChunkTerms::kAll, ChunkTerms::kInterChunk}) {
    const HostTensor workspace = HostTensor::Workspace(
        LinearAttentionWorkspaceBytes(LinearAttentionStage::kOutputs,
                                      problem.shape(), BackendKind::kCuda, 1));
    HostTensor o(DType::kBF16, {1, 65, 1, 16});
    emulated::TakeStatistics();
    ASSERT_EQ(
        device.op().Outputs(problem.inputs(), problem.initial_state(), terms,
                            {o.view(), {}}, workspace.view(), device.stream()),
        absl::OkStatus());
    // The tables and the scan, and the decays of segments where one is read.
    EXPECT_EQ(emulated::TakeStatistics().size(),
              terms == ChunkTerms::kInterChunk ? 3u : 2u);
  }
}

}  // namespace
}  // namespace longspan::kernels::cuda
