// A sequence cut into ranges that exchange summaries, as ranks do (LASP-2),
// equals the sequence in one piece: outputs, states, every gradient, and the
// gates' gradients at the cuts.
#include "tests/support/attention/linear_attention_split.h"

#include <cmath>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/cpu_stream.h"
#include "kernels/reference/reference_ops.h"
#include "tests/support/attention/linear_attention_cases.h"
#include "tests/support/attention/linear_attention_problem.h"

namespace longspan::kernels {
namespace {

// Cuts into 2, 3 and 4 uneven ranges, with a range of one token.
std::vector<std::vector<int64_t>> CutsOf(int64_t tokens) {
  std::vector<std::vector<int64_t>> cuts;
  const int64_t third = tokens / 3;
  if (tokens >= 2) cuts.push_back({0, 1, tokens});
  if (tokens >= 10) {
    cuts.push_back({0, tokens - 1, tokens});
    cuts.push_back({0, third, third + 1, tokens});
    cuts.push_back({0, third - 1, 2 * third, 2 * third + 2, tokens});
  }
  if (tokens > 128) cuts.push_back({0, 64, 128, tokens});
  return cuts;
}

void ExpectSame(const LinearAttentionResults& split,
                const LinearAttentionResults& whole) {
  constexpr double kTolerance = 1e-10;
  EXPECT_LE(RelativeRms(split.o, whole.o), kTolerance);
  EXPECT_LE(RelativeRms(split.final_state, whole.final_state), kTolerance);
  EXPECT_LE(RelativeRms(split.d_q, whole.d_q), kTolerance);
  EXPECT_LE(RelativeRms(split.d_k, whole.d_k), kTolerance);
  EXPECT_LE(RelativeRms(split.d_v, whole.d_v), kTolerance);
  EXPECT_LE(RelativeRms(split.d_initial_state, whole.d_initial_state),
            kTolerance);
  // Token by token: a wrong border term hides in an average. Relative to the
  // largest, because strong gates have gradients far below their terms.
  ASSERT_EQ(split.d_log_gate.size(), whole.d_log_gate.size());
  double largest = 1.0;
  for (double x : whole.d_log_gate) largest = std::max(largest, std::fabs(x));
  for (size_t i = 0; i < whole.d_log_gate.size(); ++i) {
    EXPECT_NEAR(split.d_log_gate[i], whole.d_log_gate[i], kTolerance * largest)
        << "gate " << i;
  }
}

class LinearAttentionSplit
    : public testing::TestWithParam<LinearAttentionCase> {};

TEST_P(LinearAttentionSplit, RangesEqualOnePiece) {
  const LinearAttentionProblem problem(GetParam(), DType::kF64);
  const auto op = CreateCpuLinearAttention();
  CpuStream stream(1);
  const LinearAttentionResults whole =
      problem.Run(*op, stream, BackendKind::kCpu, 1, Passes::kOne);
  for (const std::vector<int64_t>& cuts : CutsOf(GetParam().tokens)) {
    for (Passes passes : {Passes::kOne, Passes::kTwo}) {
      SCOPED_TRACE(testing::PrintToString(cuts));
      ExpectSame(
          RunInRanges(problem, *op, stream, BackendKind::kCpu, cuts, passes),
          whole);
    }
  }
}

std::vector<LinearAttentionCase> SmallCases() {
  std::vector<LinearAttentionCase> cases;
  for (const LinearAttentionCase& c : LinearAttentionCases()) {
    if (c.tokens <= 211 && c.key_dim <= 32) cases.push_back(c);
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(
    Cases, LinearAttentionSplit, testing::ValuesIn(SmallCases()),
    [](const testing::TestParamInfo<LinearAttentionCase>& info) {
      return info.param.name;
    });

TEST(FoldSummaries, OfNothingIsTheInitialState) {
  CpuStream stream(1);
  for (DType dtype : {DType::kF32, DType::kF64}) {
    HostTensor initial(dtype, {2, 3, 4, 5});
    HostTensor state(dtype, {2, 3, 4, 5});
    FillUniform(1, -1.0, 1.0, initial.view());
    for (auto& op :
         {CreateCpuLinearAttention(), CreateReferenceLinearAttention()}) {
      ASSERT_EQ(op->FoldSummaries({}, {}, initial.view(), false, state.view(),
                                  stream),
                absl::OkStatus());
      EXPECT_EQ(state.ToDoubles(), initial.ToDoubles());
      ASSERT_EQ(op->FoldSummaries({}, {}, {}, false, state.view(), stream),
                absl::OkStatus());
      EXPECT_EQ(Rms(state.ToDoubles()), 0.0);
    }
  }
}

TEST(FoldSummaries, AgreesWithReferenceInBothDirections) {
  CpuStream stream(2);
  HostTensor states(DType::kF64, {4, 2, 3, 5, 6});
  HostTensor decays(DType::kF64, {4, 2, 3});
  FillUniform(1, -1.0, 1.0, states.view());
  FillUniform(2, -2.0, 0.0, decays.view());
  decays.view().data_as<double>()[7] = -INFINITY;  // a document starts here
  for (bool reverse : {false, true}) {
    HostTensor actual(DType::kF64, {2, 3, 5, 6});
    HostTensor expected(DType::kF64, {2, 3, 5, 6});
    ASSERT_EQ(
        CreateCpuLinearAttention()->FoldSummaries(
            states.view(), decays.view(), {}, reverse, actual.view(), stream),
        absl::OkStatus());
    ASSERT_EQ(
        CreateReferenceLinearAttention()->FoldSummaries(
            states.view(), decays.view(), {}, reverse, expected.view(), stream),
        absl::OkStatus());
    EXPECT_LE(RelativeRms(actual.ToDoubles(), expected.ToDoubles()), 1e-14);
  }
}

}  // namespace
}  // namespace longspan::kernels
