// Prefix snapshots: the state inside a range is the final state of a call that
// ends there, bit by bit, and a call that starts from it continues the range.
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/api/linear_attention_operands.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/cpu_stream.h"
#include "kernels/reference/reference_ops.h"
#include "tests/support/attention/linear_attention_cases.h"
#include "tests/support/attention/linear_attention_problem.h"

namespace longspan::kernels {
namespace {

using ::testing::HasSubstr;

// Calls on the tokens of one problem, with memory of their own.
class Caller {
 public:
  Caller(const LinearAttentionCase& c, DType dtype)
      : problem_(c, dtype),
        o_(dtype, {c.batch, c.tokens, c.heads, c.value_dim}),
        final_state_(AccumulatorOf(dtype),
                     {c.batch, c.heads, c.key_dim, c.value_dim}),
        prefix_states_(problem_.LikeSnapshots()),
        workspace_(HostTensor::Workspace(
            2 * LinearAttentionWorkspaceBytes(LinearAttentionStage::kOutputs,
                                              problem_.shape(),
                                              BackendKind::kCpu, 1))) {}

  // Outputs and final state of tokens [begin, end).
  void Run(LinearAttention& op, int64_t begin, int64_t end,
           ConstTensorView entering, bool snapshots) const {
    LinearAttentionProblem::Range range = problem_.Tokens(begin, end);
    range.inputs.documents = {range.starts.data(),
                              static_cast<int64_t>(range.starts.size()),
                              range.starts.data()};
    LinearAttentionOutputs outputs = {o_.view().Slice(1, begin, end),
                                      final_state_.view()};
    if (snapshots) {
      outputs.prefix_states = prefix_states_.view();
      outputs.snapshot_interval = problem_.case_of().snapshot_interval;
    }
    CpuStream stream(1);
    ASSERT_EQ(op.Outputs(range.inputs, entering, ChunkTerms::kAll, outputs,
                         workspace_.view(), stream),
              absl::OkStatus());
  }

  const LinearAttentionProblem& problem() const { return problem_; }
  TensorView Snapshot(int64_t p) const {
    return prefix_states_.view().Select(1, p);
  }
  std::vector<double> OutputsFrom(int64_t token) const {
    return ToDoubles(o_.view().Slice(1, token, problem_.case_of().tokens));
  }
  std::vector<double> final_state() const { return final_state_.ToDoubles(); }

 private:
  const LinearAttentionProblem problem_;
  const HostTensor o_, final_state_, prefix_states_, workspace_;
};

class PrefixStates : public testing::TestWithParam<LinearAttentionCase> {
 protected:
  // The numbers that follow a snapshot; the reference rounds a state to f32
  // only where it is written.
  static void ExpectContinued(const std::vector<double>& actual,
                              const std::vector<double>& expected,
                              bool exactly) {
    if (exactly) {
      EXPECT_EQ(actual, expected);
    } else {
      EXPECT_LE(RelativeRms(actual, expected), 1e-6);
    }
  }

  void Check(LinearAttention& op, DType dtype, bool exactly) const {
    const LinearAttentionCase& c = GetParam();
    const Caller whole(c, dtype);
    const Caller part(c, dtype);
    whole.Run(op, 0, c.tokens, whole.problem().initial_state(), true);
    const int64_t count = SnapshotCount(c.tokens, c.snapshot_interval);
    for (int64_t p = 0; p < count; ++p) {
      const int64_t cut = (p + 1) * c.snapshot_interval;
      part.Run(op, 0, cut, part.problem().initial_state(), false);
      EXPECT_EQ(ToDoubles(whole.Snapshot(p)), part.final_state()) << cut;
      part.Run(op, cut, c.tokens, whole.Snapshot(p), false);
      ExpectContinued(part.OutputsFrom(cut), whole.OutputsFrom(cut), exactly);
      ExpectContinued(part.final_state(), whole.final_state(), exactly);
    }
  }
};

TEST_P(PrefixStates, AreFinalStatesThatContinueTheRange) {
  for (DType dtype : {DType::kF32, DType::kF64}) {
    Check(*CreateCpuLinearAttention(), dtype, true);
    Check(*CreateReferenceLinearAttention(), dtype, dtype == DType::kF64);
  }
}

// What the CPU has of bf16: states are f32, so they continue exactly.
class Bf16PrefixStates : public PrefixStates {};

TEST_P(Bf16PrefixStates, AreFinalStatesThatContinueTheRange) {
  Check(*CreateCpuLinearAttention(), DType::kBF16, true);
}

std::vector<LinearAttentionCase> Bf16Cases() {
  std::vector<LinearAttentionCase> cases;
  for (const LinearAttentionCase& c : SnapshotCases()) {
    if (c.transition == Transition::kVector) continue;
    if (c.transition != Transition::kDense) cases.push_back(c);
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(
    Cases, Bf16PrefixStates, testing::ValuesIn(Bf16Cases()),
    [](const testing::TestParamInfo<LinearAttentionCase>& info) {
      return info.param.name;
    });

INSTANTIATE_TEST_SUITE_P(
    Cases, PrefixStates, testing::ValuesIn(SnapshotCases()),
    [](const testing::TestParamInfo<LinearAttentionCase>& info) {
      return info.param.name;
    });

// A call without snapshots writes the same outputs.
TEST(PrefixStates, ChangeNoOutput) {
  for (const LinearAttentionCase& c : SnapshotCases()) {
    const auto op = CreateCpuLinearAttention();
    const Caller with(c, DType::kF32);
    const Caller without(c, DType::kF32);
    with.Run(*op, 0, c.tokens, with.problem().initial_state(), true);
    without.Run(*op, 0, c.tokens, without.problem().initial_state(), false);
    EXPECT_EQ(with.OutputsFrom(0), without.OutputsFrom(0)) << c.name;
  }
}

class PrefixStateErrors : public testing::Test {
 protected:
  static LinearAttentionCase Case() {
    LinearAttentionCase c;
    c.tokens = 200;
    c.heads = 2;
    c.key_dim = 4;
    c.value_dim = 3;
    return c;
  }

  absl::Status Call(LinearAttention& op, const TensorView& states,
                    int64_t interval) {
    return op.Outputs(problem_.inputs(), {}, ChunkTerms::kAll,
                      {o_.view(), {}, states, interval}, workspace_.view(),
                      stream_);
  }

  void ExpectRefused(const TensorView& states, int64_t interval,
                     const std::string& text) {
    for (auto& op :
         {CreateCpuLinearAttention(), CreateReferenceLinearAttention()}) {
      const absl::Status status = Call(*op, states, interval);
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
      EXPECT_THAT(std::string(status.message()), HasSubstr(text));
      EXPECT_TRUE(std::isnan(o_.ToDoubles()[0]));  // nothing was written
    }
  }

  const LinearAttentionProblem problem_{Case(), DType::kF32};
  const HostTensor o_{DType::kF32, {1, 200, 2, 3}};
  const HostTensor workspace_ = HostTensor::Workspace(1 << 20);
  const HostTensor states_{DType::kF32, {1, 3, 2, 4, 3}};
  CpuStream stream_{1};
};

TEST_F(PrefixStateErrors, NameTheInterval) {
  ExpectRefused(states_.view(), 0, "prefix_states needs a snapshot_interval");
  for (int64_t interval : {-64, 1, 63, 65, 100}) {
    ExpectRefused(states_.view(), interval,
                  "Outputs: snapshot_interval " + std::to_string(interval) +
                      " is not a positive multiple of 64 tokens");
  }
}

TEST_F(PrefixStateErrors, NameTheShape) {
  ExpectRefused({}, 64, "prefix_states is missing");
  ExpectRefused(
      states_.view(), 128,
      "prefix_states is f32[1, 3, 2, 4, 3], needs f32[1, 1, 2, 4, 3]");
  const HostTensor wide(DType::kF64, {1, 3, 2, 4, 3});
  ExpectRefused(wide.view(), 64, "prefix_states is f64");
}

TEST_F(PrefixStateErrors, NoneInsideTheRangeNeedsNoMemory) {
  EXPECT_EQ(Call(*CreateCpuLinearAttention(), {}, 256), absl::OkStatus());
  EXPECT_EQ(Call(*CreateReferenceLinearAttention(), {}, 256), absl::OkStatus());
}

}  // namespace
}  // namespace longspan::kernels
