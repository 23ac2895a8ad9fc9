#include "tests/support/attention/linear_attention_bounds.h"

#include <algorithm>
#include <cmath>

#include "common/base/check.h"

namespace longspan::kernels {
namespace {

double OneRounding(DType dtype) {
  return dtype == DType::kF64 ? 0x1p-53 : 0x1p-24;
}

// Absolute error and bound, relative to the expected values.
ComparedTensor Relative(const std::string& name, double error, double bound,
                        const std::vector<double>& expected) {
  const double size = Rms(expected);
  if (size == 0.0) return {name, error, bound};
  return {name, error / size, bound / size};
}

// Sums over tokens of |q_s||dq_s| + |k_s||dk_s| for each gate of a token: by
// rows, or by channels where each has a gate of its own; of heads that share q
// and k once, with the sums of their gradients.
std::vector<double> SummedTerms(const LinearAttentionProblem& problem,
                                const LinearAttentionResults& results) {
  const LinearAttentionCase& c = problem.case_of();
  const int64_t width = std::max<int64_t>(1, GateWidth(c));
  const int64_t gates = KeyHeads(c) * width;
  const int64_t shared = c.key_dim / width;
  std::vector<double> sums(c.batch * gates, 0.0);
  const auto add = [&](const std::vector<double>& x,
                       const std::vector<double>& d_x) {
    for (size_t i = 0; i < x.size() / shared; ++i) {
      double square = 0.0, d_square = 0.0;
      for (int64_t j = 0; j < shared; ++j) {
        square += x[i * shared + j] * x[i * shared + j];
        d_square += d_x[i * shared + j] * d_x[i * shared + j];
      }
      const int64_t b = i / (c.tokens * gates);
      sums[b * gates + i % gates] += std::sqrt(square * d_square);
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
ComparedTensor GateGradients(const LinearAttentionProblem& problem,
                             const LinearAttentionResults& actual,
                             const LinearAttentionResults& expected) {
  double bound =
      RelativeRmsBound(problem.dtype()) * Rms(expected.d_log_gate) +
      4 * OneRounding(problem.dtype()) * Rms(SummedTerms(problem, expected));
  if (problem.dtype() == DType::kBF16) {
    // What cancels is made of the same rounded operands, and summed in f32.
    bound = std::max(2e-4, 1e-2 * Rms(expected.d_log_gate));
  }
  return Relative("d_log_gate",
                  Rms(Difference(actual.d_log_gate, expected.d_log_gate)),
                  bound, expected.d_log_gate);
}

// The delta rule takes away from the unit matrix, from dS_T or from what a
// token's output adds to dS, what its keys span. Where they span all of it,
// what remains is the rounding of what was taken away: errors are relative to
// `whole`, the RMS of that.
ComparedTensor Remainder(const std::string& name,
                         const std::vector<double>& actual,
                         const std::vector<double>& expected, double whole,
                         double tolerance) {
  return Relative(name, Rms(Difference(actual, expected)),
                  tolerance * std::max(whole, Rms(expected)), expected);
}

// The largest relative error of a log decay; minus infinity is exact.
double LogDecayError(const std::vector<double>& actual,
                     const std::vector<double>& expected) {
  LONGSPAN_CHECK_EQ(actual.size(), expected.size());
  double worst = 0.0;
  for (size_t i = 0; i < actual.size(); ++i) {
    if (actual[i] == expected[i]) continue;
    const double error =
        std::fabs(actual[i] - expected[i]) / std::fabs(expected[i]);
    worst = error <= worst ? worst : error;  // NaN stays
  }
  return worst;
}

}  // namespace

double RelativeRmsBound(DType dtype) {
  if (dtype == DType::kBF16) return 5e-3;
  return dtype == DType::kF64 ? 1e-10 : 1e-5;
}

std::vector<ComparedTensor> CompareResults(
    const LinearAttentionProblem& problem, const LinearAttentionResults& actual,
    const LinearAttentionResults& expected) {
  const double tolerance = RelativeRmsBound(problem.dtype());
  std::vector<ComparedTensor> compared;
  const auto close = [&](const char* name, const std::vector<double>& a,
                         const std::vector<double>& b) {
    compared.push_back({name, RelativeRms(a, b), tolerance});
  };
  const bool dense = problem.case_of().transition == Transition::kDense;
  close("o", actual.o, expected.o);
  close("final_state", actual.final_state, expected.final_state);
  close("prefix_states", actual.prefix_states, expected.prefix_states);
  close("d_q", actual.d_q, expected.d_q);
  close("d_k", actual.d_k, expected.d_k);
  close("d_v", actual.d_v, expected.d_v);
  compared.push_back(GateGradients(problem, actual, expected));
  close("d_beta", actual.d_beta, expected.d_beta);
  compared.push_back(Remainder(
      "d_initial_state", actual.d_initial_state, expected.d_initial_state,
      dense ? Rms(ToDoubles(problem.d_final_state())) : 0.0, tolerance));
  close("summary_state", actual.summary_state, expected.summary_state);
  compared.push_back(
      {"summary_log_decay",
       LogDecayError(actual.summary_log_decay, expected.summary_log_decay),
       std::min(tolerance, 1e-5)});
  compared.push_back(Remainder("summary_transition", actual.summary_transition,
                               expected.summary_transition,
                               1.0 / std::sqrt(problem.case_of().key_dim),
                               tolerance));
  const double d_written = problem.inputs().scale *
                           Rms(ToDoubles(problem.q())) *
                           Rms(ToDoubles(problem.d_o()));
  compared.push_back(Remainder("d_summary_state", actual.d_summary_state,
                               expected.d_summary_state,
                               dense ? d_written : 0.0, tolerance));
  return compared;
}

}  // namespace longspan::kernels
