// The kernels against the reference in double, on operands rounded as the
// kernels see them. Outputs and workspaces are poisoned.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "gtest/gtest.h"
#include "kernels/api/backend.h"
#include "kernels/cost/cuda_linear_attention_plan.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/cuda_ops.h"
#include "kernels/reference/reference_ops.h"
#include "tests/support/attention/linear_attention_cases.h"
#include "tests/support/attention/linear_attention_problem.h"
#include "tests/support/cuda_emulator/emulator.h"

namespace longspan::kernels::cuda {
namespace {

struct Tolerance {
  double relative_rms;
  double gate_relative_rms;
  double gate_rms;  // gates whose gradients are nothing but rounding
};

// bf16: a few roundings of 2^-9. f32 operands are two bf16 planes, 2^-16.
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

class Device {
 public:
  Device() {
    auto backend = CreateCudaBackend(0);
    LONGSPAN_CHECK_OK(backend);
    backend_ = std::move(*backend);
    auto stream = backend_->CreateStream(1);
    LONGSPAN_CHECK_OK(stream);
    stream_ = std::move(*stream);
  }

  Stream& stream() { return *stream_; }

  LinearAttentionResults Run(const LinearAttentionProblem& problem,
                             Passes passes) {
    return problem.Run(*op_, *stream_, BackendKind::kCuda, 1, passes);
  }

 private:
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Stream> stream_;
  const std::unique_ptr<LinearAttention> op_ = CreateCudaLinearAttention();
};

LinearAttentionResults Reference(const LinearAttentionProblem& problem,
                                 Stream& stream) {
  return problem.Run(*CreateReferenceLinearAttention(), stream,
                     BackendKind::kReference, 1, Passes::kOne);
}

class CudaLinearAttention : public testing::TestWithParam<LinearAttentionCase> {
};

// The emulator takes a second for a large case, and its two passes do nothing
// that those of a small one do not.
std::vector<Passes> PassesOf(const LinearAttentionCase& c, DType dtype) {
  const bool small = c.tokens <= (dtype == DType::kF32 ? 130 : 260) &&
                     c.key_dim * c.value_dim <= 64 * 64;
  if (small) return {Passes::kOne, Passes::kTwo};
  return {Passes::kOne};
}

TEST_P(CudaLinearAttention, AgreesWithReference) {
  Device device;
  for (DType dtype : {DType::kBF16, DType::kF32}) {
    const LinearAttentionProblem problem(GetParam(), dtype);
    const LinearAttentionResults expected = Reference(problem, device.stream());
    for (Passes passes : PassesOf(GetParam(), dtype)) {
      SCOPED_TRACE(std::string(DTypeName(dtype)) +
                   (passes == Passes::kOne ? " one pass" : " two passes"));
      ExpectResults(device.Run(problem, passes), expected, dtype);
      EXPECT_EQ(emulated::TakeLaunchFailures(), "");
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Cases, CudaLinearAttention, testing::ValuesIn(LinearAttentionCases()),
    [](const testing::TestParamInfo<LinearAttentionCase>& info) {
      return info.param.name;
    });

const LinearAttentionCase& CaseNamed(const std::string& name) {
  for (const LinearAttentionCase& c : LinearAttentionCases()) {
    if (c.name == name) return c;
  }
  LONGSPAN_CHECK(false) << name;
  return LinearAttentionCases().front();
}

// Whatever order warps and blocks run in, the results have the same bits.
TEST(CudaLinearAttentionOrders, DoNotMatter) {
  Device device;
  for (const char* name : {"ScalarB1T100H3K16V16", "IdentityB1T65H1K16V16"}) {
    const LinearAttentionProblem problem(CaseNamed(name), DType::kBF16);
    const LinearAttentionResults first = device.Run(problem, Passes::kOne);
    for (uint64_t seed = 1; seed <= 20; ++seed) {
      emulated::EmulatorOptions options;
      options.seed = seed;
      const emulated::ScopedEmulatorOptions scoped(options);
      const LinearAttentionResults again = device.Run(problem, Passes::kOne);
      EXPECT_EQ(again.o, first.o);
      EXPECT_EQ(again.d_q, first.d_q);
      EXPECT_EQ(again.d_k, first.d_k);
      EXPECT_EQ(again.d_v, first.d_v);
      EXPECT_EQ(again.d_log_gate, first.d_log_gate);
      EXPECT_EQ(emulated::TakeLaunchFailures(), "");
    }
  }
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
      ExpectResults(device.Run(problem, passes), expected, DType::kBF16);
    }
    EXPECT_EQ(emulated::TakeLaunchFailures(), "");
  }
}

TEST(CudaLinearAttentionDecode, AdvancesTheSlots) {
  Device device;
  LinearAttentionCase c = CaseNamed("ScalarB1T15H1K16V16");
  c.batch = 2;
  c.tokens = 3;
  c.heads = 2;
  for (const auto& [key_dim, value_dim] :
       {std::pair<int64_t, int64_t>{24, 36}, {130, 150}}) {
    c.key_dim = key_dim;
    c.value_dim = value_dim;
    for (DType dtype : {DType::kBF16, DType::kF32}) {
      const LinearAttentionProblem problem(c, dtype);
      HostTensor slots(DType::kI32, {2});
      slots.view().data_as<int32_t>()[0] = 3;
      slots.view().data_as<int32_t>()[1] = 1;
      const auto decode = [&](LinearAttention& op) {
        HostTensor pool(DType::kF32, {4, 2, key_dim, value_dim});
        FillUniform(9, -1.0, 1.0, pool.view());
        HostTensor o(dtype, {2, 3, 2, value_dim});
        LONGSPAN_CHECK_OK(op.Decode(problem.inputs(), slots.view(), pool.view(),
                                    o.view(), device.stream()));
        return std::pair(pool.ToDoubles(), o.ToDoubles());
      };
      const auto expected = decode(*CreateReferenceLinearAttention());
      const auto actual = decode(*CreateCudaLinearAttention());
      ExpectClose(actual.first, expected.first, 1e-6, "pool");
      ExpectClose(actual.second, expected.second,
                  ToleranceOf(dtype).relative_rms, "o");
      EXPECT_EQ(emulated::TakeLaunchFailures(), "");
    }
  }
}

TEST(CudaLinearAttentionFold, AgreesInBothDirections) {
  Device device;
  HostTensor states(DType::kF32, {11, 2, 3, 5, 6});
  HostTensor decays(DType::kF32, {11, 2, 3});
  FillUniform(1, -1.0, 1.0, states.view());
  FillUniform(2, -2.0, 0.0, decays.view());
  decays.view().data_as<float>()[7] = -INFINITY;  // a document starts here
  for (bool reverse : {false, true}) {
    const auto fold = [&](LinearAttention& op) {
      HostTensor result(DType::kF32, {2, 3, 5, 6});
      LONGSPAN_CHECK_OK(op.FoldSummaries(states.view(), decays.view(), {},
                                         reverse, result.view(),
                                         device.stream()));
      return result.ToDoubles();
    };
    ExpectClose(fold(*CreateCudaLinearAttention()),
                fold(*CreateReferenceLinearAttention()), 1e-6, "state");
  }
}

TEST(CudaLinearAttentionRefusals, NameTheSizes) {
  Device device;
  LinearAttentionCase c = CaseNamed("IdentityB1T1H1K16V16");
  c.key_dim = 300;
  const LinearAttentionProblem problem(c, DType::kBF16);
  HostTensor o(DType::kBF16, {1, 1, 1, c.value_dim});
  const absl::Status status = CreateCudaLinearAttention()->Outputs(
      problem.inputs(), {}, ChunkTerms::kAll, {o.view(), {}}, {},
      device.stream());
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("300"), absl::string_view::npos) << status;
}

}  // namespace
}  // namespace longspan::kernels::cuda
