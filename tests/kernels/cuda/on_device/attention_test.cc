// Attention on the memory of the device itself, against the reference in
// double: on the emulator by ctest, on a GPU by tests/gpu/run.
//
// On the emulator only a few small cases, to show that no host code touches
// device memory; there the whole list runs in the tests beside this one.
#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "common/base/check.h"
#include "gtest/gtest.h"
#include "kernels/reference/reference_ops.h"
#include "kernels/select/backend_registry.h"
#include "tests/support/attention/linear_attention_cases.h"
#include "tests/support/attention/linear_attention_problem.h"
#include "tests/support/attention/softmax_attention_cases.h"
#include "tests/support/device_mirror/device_mirror.h"
#include "tests/support/gpu_case/gpu_case.h"

namespace longspan::kernels {
namespace {

constexpr int64_t kSmallTokens = 70;
constexpr int64_t kSmallDim = 32;

double ToleranceOf(DType dtype) { return dtype == DType::kBF16 ? 5e-3 : 1e-3; }

class Device {
 public:
  Device() {
    auto backend = CreateBackend(BackendKind::kCuda);
    LONGSPAN_CHECK_OK(backend.status());
    backend_ = *std::move(backend);
    auto stream = backend_->CreateStream(1);
    LONGSPAN_CHECK_OK(stream.status());
    stream_ = *std::move(stream);
  }

  LinearAttentionResults Run(const LinearAttentionProblem& problem) {
    return problem.Run(*MirrorLinearAttention(*backend_), *stream_,
                       BackendKind::kCuda, 1, Passes::kOne);
  }
  SoftmaxAttentionResults Run(const SoftmaxAttentionProblem& problem) {
    return problem.Run(*MirrorSoftmaxAttention(*backend_), *stream_,
                       BackendKind::kCuda, 1);
  }

 private:
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Stream> stream_;
};

// The reference lies in host memory; its stream does nothing.
class HostStream : public Stream {
  absl::Status Synchronize() override { return absl::OkStatus(); }
};

void ExpectClose(const std::vector<double>& actual,
                 const std::vector<double>& expected, double tolerance,
                 const char* what) {
  ASSERT_EQ(actual.size(), expected.size()) << what;
  EXPECT_LE(RelativeRms(actual, expected), tolerance) << what;
}

void ExpectResults(const LinearAttentionResults& actual,
                   const LinearAttentionResults& expected, DType dtype) {
  const double rms = ToleranceOf(dtype);
  ExpectClose(actual.summary_state, expected.summary_state, rms, "summary");
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
            std::max(2e-4, 2 * rms * Rms(expected.d_log_gate)))
      << "d_log_gate";
}

// The list, and on a GPU three long cases with heads of 128.
std::vector<LinearAttentionCase> LinearCases() {
  std::vector<LinearAttentionCase> cases;
  for (const LinearAttentionCase& c : LinearAttentionCases()) {
    if (OnGpu() || (c.tokens <= kSmallTokens && c.key_dim <= kSmallDim &&
                    c.value_dim <= kSmallDim)) {
      cases.push_back(c);
    }
  }
  if (!OnGpu()) return cases;
  for (Transition transition :
       {Transition::kIdentity, Transition::kConstant, Transition::kScalar}) {
    LinearAttentionCase c;
    c.name = "Long" + std::to_string(static_cast<int>(transition));
    c.tokens = 4099;
    c.heads = 2;
    c.key_dim = c.value_dim = 128;
    c.transition = transition;
    cases.push_back(c);
  }
  return cases;
}

std::vector<SoftmaxAttentionCase> SoftmaxCases() {
  std::vector<SoftmaxAttentionCase> cases;
  for (const SoftmaxAttentionCase& c : SoftmaxAttentionCases()) {
    if (OnGpu() || (c.key_tokens <= kSmallTokens && c.head_dim <= kSmallDim)) {
      cases.push_back(c);
    }
  }
  return cases;
}

template <typename Case>
std::string NameOf(const testing::TestParamInfo<Case>& info) {
  return info.param.name;
}

class LinearAttentionOnDevice
    : public testing::TestWithParam<LinearAttentionCase> {};

TEST_P(LinearAttentionOnDevice, AgreesWithReference) {
  SCOPED_TRACE("LONGSPAN_TEST_SEED=" + std::to_string(TestSeed()));
  Device device;
  HostStream host;
  for (DType dtype : {DType::kBF16, DType::kF32}) {
    SCOPED_TRACE(DTypeName(dtype));
    const LinearAttentionProblem problem(GetParam(), dtype, TestSeed());
    const auto reference = CreateReferenceLinearAttention();
    ExpectResults(
        device.Run(problem),
        problem.Run(*reference, host, BackendKind::kReference, 1, Passes::kOne),
        dtype);
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, LinearAttentionOnDevice,
                         testing::ValuesIn(LinearCases()),
                         NameOf<LinearAttentionCase>);

class SoftmaxAttentionOnDevice
    : public testing::TestWithParam<SoftmaxAttentionCase> {};

TEST_P(SoftmaxAttentionOnDevice, AgreesWithReference) {
  Device device;
  HostStream host;
  for (DType dtype : {DType::kBF16, DType::kF32}) {
    SCOPED_TRACE(DTypeName(dtype));
    const double rms = ToleranceOf(dtype);
    const SoftmaxAttentionProblem problem(GetParam(), dtype);
    const SoftmaxAttentionResults actual = device.Run(problem);
    const SoftmaxAttentionResults expected = problem.Run(
        *CreateReferenceSoftmaxAttention(), host, BackendKind::kReference, 1);
    ExpectClose(actual.o, expected.o, rms, "o");
    ExpectClose(actual.d_q, expected.d_q, rms, "d_q");
    ExpectClose(actual.d_k, expected.d_k, rms, "d_k");
    ExpectClose(actual.d_v, expected.d_v, rms, "d_v");
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, SoftmaxAttentionOnDevice,
                         testing::ValuesIn(SoftmaxCases()),
                         NameOf<SoftmaxAttentionCase>);

LinearAttentionCase SmallScalarCase() {
  LinearAttentionCase c;
  c.name = "SmallScalar";
  c.tokens = OnGpu() && Shapes() == ShapeSize::kLarge ? 4099 : 67;
  c.heads = 2;
  c.key_dim = c.value_dim = OnGpu() ? 64 : 16;
  c.transition = Transition::kScalar;
  return c;
}

TEST(LinearAttentionOnDeviceTwice, BitIdentical) {
  Device device;
  const LinearAttentionProblem problem(SmallScalarCase(), DType::kBF16,
                                       TestSeed());
  const LinearAttentionResults first = device.Run(problem);
  const LinearAttentionResults second = device.Run(problem);
  EXPECT_EQ(first.o, second.o);
  EXPECT_EQ(first.d_q, second.d_q);
  EXPECT_EQ(first.d_k, second.d_k);
  EXPECT_EQ(first.d_v, second.d_v);
  EXPECT_EQ(first.d_log_gate, second.d_log_gate);
}

// What compute-sanitizer looks at.
TEST(LinearAttentionOnDeviceOnce, SmallAgreesWithReference) {
  Device device;
  HostStream host;
  const LinearAttentionProblem problem(SmallScalarCase(), DType::kBF16,
                                       TestSeed());
  ExpectResults(device.Run(problem),
                problem.Run(*CreateReferenceLinearAttention(), host,
                            BackendKind::kReference, 1, Passes::kOne),
                DType::kBF16);
}

}  // namespace
}  // namespace longspan::kernels
