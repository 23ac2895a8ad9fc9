// The CPU backend against the reference, every case of the list, both types,
// every instruction set of this processor.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/cpu_stream.h"
#include "kernels/reference/reference_ops.h"
#include "tests/support/attention/linear_attention_cases.h"
#include "tests/support/attention/linear_attention_problem.h"

namespace longspan::kernels {
namespace {

std::vector<InstructionSet> SupportedSets() {
  std::vector<InstructionSet> sets = {InstructionSet::kBaseline};
  for (InstructionSet set : {InstructionSet::kAvx2, InstructionSet::kAvx512}) {
    if (set <= BestInstructionSet()) sets.push_back(set);
  }
  return sets;
}

struct Tolerance {
  double relative_rms;
  double epsilon;  // one rounding
};

Tolerance ToleranceOf(DType dtype) {
  if (dtype == DType::kF64) return {1e-10, 0x1p-53};
  return {1e-5, 0x1p-24};
}

void ExpectClose(const std::vector<double>& actual,
                 const std::vector<double>& expected, double tolerance,
                 const char* what) {
  ASSERT_EQ(actual.size(), expected.size()) << what;
  EXPECT_LE(RelativeRms(actual, expected), tolerance) << what;
}

// Sums over tokens of |q_s||dq_s| + |k_s||dk_s| for each gate of a token: by
// rows, or by channels where each has a gate of its own.
std::vector<double> SummedTerms(const LinearAttentionProblem& problem,
                                const LinearAttentionResults& results) {
  const LinearAttentionCase& c = problem.case_of();
  const int64_t width = std::max<int64_t>(1, GateWidth(c));
  const int64_t shared = c.key_dim / width;
  std::vector<double> sums(c.batch * c.heads * width, 0.0);
  const auto add = [&](const std::vector<double>& x,
                       const std::vector<double>& d_x) {
    for (size_t i = 0; i < x.size() / shared; ++i) {
      double square = 0.0, d_square = 0.0;
      for (int64_t j = 0; j < shared; ++j) {
        square += x[i * shared + j] * x[i * shared + j];
        d_square += d_x[i * shared + j] * d_x[i * shared + j];
      }
      const int64_t b = i / (c.tokens * c.heads * width);
      sums[b * c.heads * width + i % (c.heads * width)] +=
          std::sqrt(square * d_square);
    }
  };
  add(ToDoubles(problem.q()), results.d_q);
  add(ToDoubles(problem.k()), results.d_k);
  return sums;
}

// A gate's gradient is a suffix sum of q . dq - k . dk in which terms of equal
// size cancel, so its rounding error is relative to what is summed and not to
// the result: at most a few roundings of
//   sum over the sequence of |q_s||dq_s| + |k_s||dk_s|,
// which also bounds <S, dS> at a border, the same sum by another route.
double GateGradientSize(const LinearAttentionProblem& problem,
                        const LinearAttentionResults& results) {
  return Rms(SummedTerms(problem, results));
}

void ExpectGateGradients(const LinearAttentionProblem& problem,
                         const LinearAttentionResults& actual,
                         const LinearAttentionResults& expected) {
  const Tolerance tolerance = ToleranceOf(problem.dtype());
  ASSERT_EQ(actual.d_log_gate.size(), expected.d_log_gate.size());
  const double error = Rms(Difference(actual.d_log_gate, expected.d_log_gate));
  const double bound =
      tolerance.relative_rms * Rms(expected.d_log_gate) +
      4 * tolerance.epsilon * GateGradientSize(problem, expected);
  EXPECT_LE(error, bound) << "d_log_gate";
}

// The delta rule takes away from the unit matrix, from dS_T or from what a
// token's output adds to dS, what its keys span. Where they span all of it,
// what remains is the rounding of what was taken away: errors are relative to
// `whole`, the RMS of that.
void ExpectRemainder(const std::vector<double>& actual,
                     const std::vector<double>& expected, double whole,
                     double tolerance, const char* what) {
  ASSERT_EQ(actual.size(), expected.size()) << what;
  if (expected.empty()) return;
  EXPECT_LE(Rms(Difference(actual, expected)),
            tolerance * std::max(whole, Rms(expected)))
      << what;
}

void ExpectLogDecays(const std::vector<double>& actual,
                     const std::vector<double>& expected, double tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    if (std::isinf(expected[i])) {
      EXPECT_EQ(actual[i], expected[i]);
    } else {
      EXPECT_NEAR(actual[i], expected[i], tolerance * std::fabs(expected[i]));
    }
  }
}

void ExpectResults(const LinearAttentionProblem& problem,
                   const LinearAttentionResults& actual,
                   const LinearAttentionResults& expected) {
  const double tolerance = ToleranceOf(problem.dtype()).relative_rms;
  ExpectClose(actual.summary_state, expected.summary_state, tolerance,
              "summary state");
  ExpectLogDecays(actual.summary_log_decay, expected.summary_log_decay,
                  tolerance);
  ExpectClose(actual.o, expected.o, tolerance, "o");
  ExpectClose(actual.final_state, expected.final_state, tolerance,
              "final_state");
  const bool dense = problem.case_of().transition == Transition::kDense;
  const double d_written = problem.inputs().scale *
                           Rms(ToDoubles(problem.q())) *
                           Rms(ToDoubles(problem.d_o()));
  ExpectRemainder(actual.d_summary_state, expected.d_summary_state,
                  dense ? d_written : 0.0, tolerance, "d_summary_state");
  ExpectClose(actual.d_q, expected.d_q, tolerance, "d_q");
  ExpectClose(actual.d_k, expected.d_k, tolerance, "d_k");
  ExpectClose(actual.d_v, expected.d_v, tolerance, "d_v");
  ExpectRemainder(actual.d_initial_state, expected.d_initial_state,
                  dense ? Rms(ToDoubles(problem.d_final_state())) : 0.0,
                  tolerance, "d_initial_state");
  ExpectGateGradients(problem, actual, expected);
  ExpectRemainder(actual.summary_transition, expected.summary_transition,
                  1.0 / std::sqrt(problem.case_of().key_dim), tolerance,
                  "summary transition");
  ExpectClose(actual.d_beta, expected.d_beta, tolerance, "d_beta");
}

class LinearAttentionConformance
    : public testing::TestWithParam<LinearAttentionCase> {};

// Two passes differ from one in which terms a call takes and not in how a term
// is computed, so one instruction set runs both.
std::vector<Passes> PassesOf(InstructionSet set) {
  if (set != BestInstructionSet()) return {Passes::kOne};
  return {Passes::kOne, Passes::kTwo};
}

TEST_P(LinearAttentionConformance, AgreesWithReference) {
  const auto reference = CreateReferenceLinearAttention();
  CpuStream stream(1);
  for (DType dtype : {DType::kF64, DType::kF32}) {
    const LinearAttentionProblem problem(GetParam(), dtype);
    const LinearAttentionResults expected = problem.Run(
        *reference, stream, BackendKind::kReference, 1, Passes::kOne);
    for (InstructionSet set : SupportedSets()) {
      const auto op = CreateCpuLinearAttention(set);
      for (Passes passes : PassesOf(set)) {
        SCOPED_TRACE(std::string(DTypeName(dtype)) + " " +
                     InstructionSetName(set) +
                     (passes == Passes::kOne ? " one pass" : " two passes"));
        ExpectResults(problem,
                      problem.Run(*op, stream, BackendKind::kCpu, 1, passes),
                      expected);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Cases, LinearAttentionConformance,
    testing::ValuesIn(LinearAttentionCases()),
    [](const testing::TestParamInfo<LinearAttentionCase>& info) {
      return info.param.name;
    });

INSTANTIATE_TEST_SUITE_P(
    VectorGates, LinearAttentionConformance,
    testing::ValuesIn(VectorGateCases()),
    [](const testing::TestParamInfo<LinearAttentionCase>& info) {
      return info.param.name;
    });

INSTANTIATE_TEST_SUITE_P(
    Dense, LinearAttentionConformance, testing::ValuesIn(DenseCases()),
    [](const testing::TestParamInfo<LinearAttentionCase>& info) {
      return info.param.name;
    });

// The reference's own two passes, which divide the terms at the range's ends.
class ReferencePasses : public testing::TestWithParam<LinearAttentionCase> {};

TEST_P(ReferencePasses, AddUp) {
  const auto reference = CreateReferenceLinearAttention();
  CpuStream stream(1);
  const LinearAttentionProblem problem(GetParam(), DType::kF64);
  ExpectResults(
      problem,
      problem.Run(*reference, stream, BackendKind::kReference, 1, Passes::kTwo),
      problem.Run(*reference, stream, BackendKind::kReference, 1,
                  Passes::kOne));
}

// Its code knows no chunks and no sizes, so small cases say all.
std::vector<LinearAttentionCase> SmallCases() {
  std::vector<LinearAttentionCase> cases;
  for (const auto& all :
       {LinearAttentionCases(), VectorGateCases(), DenseCases()}) {
    for (const LinearAttentionCase& c : all) {
      if (c.tokens <= 130 && c.key_dim <= 32 && c.value_dim <= 32) {
        cases.push_back(c);
      }
    }
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(
    Cases, ReferencePasses, testing::ValuesIn(SmallCases()),
    [](const testing::TestParamInfo<LinearAttentionCase>& info) {
      return info.param.name;
    });

}  // namespace
}  // namespace longspan::kernels
