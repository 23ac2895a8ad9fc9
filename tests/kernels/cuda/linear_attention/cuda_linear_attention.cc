#include "tests/kernels/cuda/linear_attention/cuda_linear_attention.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/base/check.h"
#include "gtest/gtest.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/cuda_ops.h"
#include "kernels/reference/reference_ops.h"
#include "tests/support/attention/linear_attention_cases.h"

namespace longspan::kernels::cuda {

Device::Device() : op_(CreateCudaLinearAttention()) {
  auto backend = CreateCudaBackend(0);
  LONGSPAN_CHECK_OK(backend);
  backend_ = std::move(*backend);
  auto stream = backend_->CreateStream(1);
  LONGSPAN_CHECK_OK(stream);
  stream_ = std::move(*stream);
}

LinearAttentionResults Device::Run(const LinearAttentionProblem& problem,
                                   Passes passes) {
  return problem.Run(*op_, *stream_, BackendKind::kCuda, 1, passes);
}

LinearAttentionResults Reference(const LinearAttentionProblem& problem,
                                 Stream& stream) {
  return problem.Run(*CreateReferenceLinearAttention(), stream,
                     BackendKind::kReference, 1, Passes::kOne);
}

Tolerance ToleranceOf(DType dtype) {
  if (dtype == DType::kBF16) return {5e-3, 1e-2, 2e-4};
  return {1e-3, 1e-3, 2e-4};
}

void ExpectClose(const std::vector<double>& actual,
                 const std::vector<double>& expected, double tolerance,
                 const char* what) {
  ASSERT_EQ(actual.size(), expected.size()) << what;
  EXPECT_LE(RelativeRms(actual, expected), tolerance) << what;
}

namespace {

void ExpectLogDecays(const std::vector<double>& actual,
                     const std::vector<double>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    if (std::isinf(expected[i])) {
      EXPECT_EQ(actual[i], expected[i]);
    } else {
      EXPECT_NEAR(actual[i], expected[i], 1e-5 * std::fabs(expected[i]));
    }
  }
}

}  // namespace

void ExpectResults(const LinearAttentionResults& actual,
                   const LinearAttentionResults& expected, DType dtype) {
  const Tolerance tolerance = ToleranceOf(dtype);
  const double rms = tolerance.relative_rms;
  ExpectClose(actual.summary_state, expected.summary_state, rms, "summary");
  ExpectLogDecays(actual.summary_log_decay, expected.summary_log_decay);
  ExpectClose(actual.o, expected.o, rms, "o");
  ExpectClose(actual.final_state, expected.final_state, rms, "final_state");
  ExpectClose(actual.d_summary_state, expected.d_summary_state, rms,
              "d_summary");
  ExpectClose(actual.d_q, expected.d_q, rms, "d_q");
  ExpectClose(actual.d_k, expected.d_k, rms, "d_k");
  ExpectClose(actual.d_v, expected.d_v, rms, "d_v");
  ExpectClose(actual.d_initial_state, expected.d_initial_state, rms,
              "d_initial_state");
  ASSERT_EQ(actual.d_log_gate.size(), expected.d_log_gate.size());
  EXPECT_LE(Rms(Difference(actual.d_log_gate, expected.d_log_gate)),
            std::max(tolerance.gate_rms,
                     tolerance.gate_relative_rms * Rms(expected.d_log_gate)))
      << "d_log_gate";
}

const LinearAttentionCase& CaseNamed(const std::string& name) {
  for (const LinearAttentionCase& c : LinearAttentionCases()) {
    if (c.name == name) return c;
  }
  LONGSPAN_CHECK(false) << name;
  return LinearAttentionCases().front();
}

}  // namespace longspan::kernels::cuda
