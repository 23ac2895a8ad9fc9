// Linear attention against numbers that another implementation made: the naive
// recurrences of flash-linear-attention on PyTorch, forward and by autograd
// (tests/golden/linear_attention.py). They are float32, so they are compared at
// 1e-5.
#include <cmath>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/cpu_stream.h"
#include "kernels/reference/reference_ops.h"
#include "tests/support/attention/linear_attention_problem.h"
#include "tests/support/golden.h"

namespace longspan::kernels {
namespace {

constexpr double kGoldenTolerance = 1e-5;

// `values` of the generator.
void Fill(int64_t seed, double low, double high, const TensorView& view) {
  if (view.is_null()) return;
  std::vector<double> values(view.element_count());
  for (int64_t i = 0; i < view.element_count(); ++i) {
    const int64_t numerator = GoldenNumerator(seed, i);
    values[i] =
        static_cast<float>(low + (high - low) * numerator / kGoldenDenominator);
  }
  FromDoubles(values, view);
}

void FillOperands(const LinearAttentionProblem& problem) {
  Fill(1, -1, 1, problem.q());
  const bool dense = problem.case_of().transition == Transition::kDense;
  const double key_size = dense ? 0.7 : 1.0;
  Fill(2, -key_size, key_size, problem.k());
  Fill(3, -1, 1, problem.v());
  Fill(4, -1, 1, problem.d_o());
  Fill(5, -1, 1, problem.mutable_initial_state());
  Fill(6, -1, 1, problem.d_final_state());
  Fill(7, -0.5, 0, problem.log_gate());
  Fill(8, 0, 1, problem.beta());
  if (problem.log_decay().is_null()) return;
  // Retention's decays.
  FromDoubles({std::log1p(-1.0 / 32), std::log1p(-1.0 / 64)},
              problem.log_decay());
}

void ExpectGolden(const Golden& golden, const std::string& name,
                  const std::vector<double>& actual) {
  const auto expected = golden.find(name);
  ASSERT_NE(expected, golden.end()) << name;
  ASSERT_EQ(actual.size(), expected->second.size()) << name;
  EXPECT_LE(RelativeRms(actual, expected->second), kGoldenTolerance) << name;
}

struct GoldenCase {
  const char* name;
  Transition transition;
  Transition dense_decay = Transition::kIdentity;
};

class LinearAttentionGolden : public testing::TestWithParam<GoldenCase> {
 protected:
  static LinearAttentionCase Case() {
    LinearAttentionCase c;
    c.tokens = 70;
    c.heads = 2;
    c.key_dim = 4;
    c.value_dim = 3;
    c.transition = GetParam().transition;
    c.dense_decay = GetParam().dense_decay;
    // The naive retention has no states at its ends.
    c.has_initial_state = c.transition != Transition::kConstant;
    c.has_final_gradient = c.has_initial_state;
    return c;
  }

  static void Check(LinearAttention& op, BackendKind backend, DType dtype) {
    const LinearAttentionProblem problem(Case(), dtype);
    FillOperands(problem);
    CpuStream stream(1);
    const LinearAttentionResults results =
        problem.Run(op, stream, backend, 1, Passes::kOne);
    const Golden golden =
        ReadGolden(std::string("linear_attention_") + GetParam().name);
    ExpectGolden(golden, "o", results.o);
    ExpectGolden(golden, "d_q", results.d_q);
    ExpectGolden(golden, "d_k", results.d_k);
    ExpectGolden(golden, "d_v", results.d_v);
    if (problem.case_of().transition == Transition::kDense) {
      ExpectGolden(golden, "d_beta", results.d_beta);
    }
    if (GateWidth(problem.case_of()) > 0) {
      ExpectGolden(golden, "d_log_gate", results.d_log_gate);
    }
    if (!problem.case_of().has_initial_state) return;
    ExpectGolden(golden, "final_state", results.final_state);
    ExpectGolden(golden, "d_initial_state", results.d_initial_state);
  }
};

TEST_P(LinearAttentionGolden, Reference) {
  Check(*CreateReferenceLinearAttention(), BackendKind::kReference,
        DType::kF64);
}

TEST_P(LinearAttentionGolden, Cpu) {
  for (DType dtype : {DType::kF32, DType::kF64}) {
    Check(*CreateCpuLinearAttention(), BackendKind::kCpu, dtype);
  }
}

INSTANTIATE_TEST_SUITE_P(
    FlashLinearAttention, LinearAttentionGolden,
    testing::Values(GoldenCase{"identity", Transition::kIdentity},
                    GoldenCase{"constant", Transition::kConstant},
                    GoldenCase{"scalar", Transition::kScalar},
                    GoldenCase{"vector", Transition::kVector},
                    GoldenCase{"delta", Transition::kDense},
                    GoldenCase{"gated_delta", Transition::kDense,
                               Transition::kScalar},
                    GoldenCase{"kda", Transition::kDense, Transition::kVector}),
    [](const testing::TestParamInfo<GoldenCase>& info) {
      return info.param.name;
    });

}  // namespace
}  // namespace longspan::kernels
