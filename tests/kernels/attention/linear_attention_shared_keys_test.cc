// Heads that share q and k: the same numbers as with q and k repeated, and the
// gradients of q and k are sums over the heads that share them.
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/cpu_stream.h"
#include "kernels/reference/reference_ops.h"
#include "tests/kernels/attention/thread_counts.h"
#include "tests/support/attention/linear_attention_cases.h"
#include "tests/support/attention/linear_attention_problem.h"

namespace longspan::kernels {
namespace {

using ::testing::HasSubstr;

// Rows [.., Hk, D] with each head `shares` times.
std::vector<double> Repeated(const std::vector<double>& rows, int64_t shares,
                             int64_t dim) {
  std::vector<double> repeated;
  for (size_t row = 0; row < rows.size(); row += dim) {
    for (int64_t i = 0; i < shares; ++i) {
      repeated.insert(repeated.end(), rows.begin() + row,
                      rows.begin() + row + dim);
    }
  }
  return repeated;
}

// Back to [.., Hk, D], in the type that gradients are written in.
std::vector<double> Summed(const std::vector<double>& rows, int64_t shares,
                           int64_t dim, DType dtype) {
  std::vector<double> sums;
  for (size_t row = 0; row < rows.size(); row += shares * dim) {
    for (int64_t c = 0; c < dim; ++c) {
      double sum = rows[row + c];
      for (int64_t i = 1; i < shares; ++i) {
        sum += rows[row + i * dim + c];
        if (dtype == DType::kF32) sum = static_cast<float>(sum);
      }
      sums.push_back(sum);
    }
  }
  return sums;
}

// The problem with q and k repeated for every head.
LinearAttentionProblem WithOwnKeys(const LinearAttentionProblem& shared) {
  LinearAttentionCase c = shared.case_of();
  const int64_t shares = c.heads / KeyHeads(c);
  c.key_heads = 0;
  LinearAttentionProblem own(c, shared.dtype());
  FromDoubles(Repeated(ToDoubles(shared.q()), shares, c.key_dim), own.q());
  FromDoubles(Repeated(ToDoubles(shared.k()), shares, c.key_dim), own.k());
  FromDoubles(ToDoubles(shared.v()), own.v());
  return own;
}

class SharedKeys : public testing::TestWithParam<LinearAttentionCase> {
 protected:
  void Check(LinearAttention& op, BackendKind backend, DType dtype,
             Passes passes) const {
    const LinearAttentionCase& c = GetParam();
    const LinearAttentionProblem problem(c, dtype);
    const LinearAttentionProblem own = WithOwnKeys(problem);
    CpuStream stream(1);
    const auto actual = problem.Run(op, stream, backend, 1, passes);
    const auto expected = own.Run(op, stream, backend, 1, passes);
    EXPECT_EQ(actual.o, expected.o);
    EXPECT_EQ(actual.final_state, expected.final_state);
    EXPECT_EQ(actual.summary_state, expected.summary_state);
    EXPECT_EQ(actual.summary_log_decay, expected.summary_log_decay);
    EXPECT_EQ(actual.summary_transition, expected.summary_transition);
    EXPECT_EQ(actual.d_summary_state, expected.d_summary_state);
    EXPECT_EQ(actual.d_v, expected.d_v);
    EXPECT_EQ(actual.d_beta, expected.d_beta);
    EXPECT_EQ(actual.d_initial_state, expected.d_initial_state);
    // Scratch and outputs may be added to in another order.
    const double tolerance = dtype == DType::kF64 ? 1e-14 : 1e-6;
    const int64_t shares = c.heads / KeyHeads(c);
    const auto summed = [&](const std::vector<double>& rows) {
      return Summed(rows, shares, c.key_dim, dtype);
    };
    EXPECT_LE(RelativeRms(actual.d_q, summed(expected.d_q)), tolerance);
    EXPECT_LE(RelativeRms(actual.d_k, summed(expected.d_k)), tolerance);
    if (passes == Passes::kTwo) return;
    EXPECT_EQ(actual.d_log_gate, expected.d_log_gate);
  }
};

TEST_P(SharedKeys, AreLikeRepeatedOnesOnCpu) {
  const auto op = CreateCpuLinearAttention();
  for (DType dtype : {DType::kF32, DType::kF64}) {
    Check(*op, BackendKind::kCpu, dtype, Passes::kOne);
    Check(*op, BackendKind::kCpu, dtype, Passes::kTwo);
  }
}

TEST_P(SharedKeys, AreLikeRepeatedOnesInTheReference) {
  if (GetParam().key_dim > 64)
    return Check(*CreateReferenceLinearAttention(), BackendKind::kReference,
                 DType::kF64, Passes::kOne);
  const auto op = CreateReferenceLinearAttention();
  Check(*op, BackendKind::kReference, DType::kF64, Passes::kOne);
  Check(*op, BackendKind::kReference, DType::kF64, Passes::kTwo);
}

// One thread sums what heads share, whatever the number of threads.
TEST_P(SharedKeys, ThreadsChangeNoBitDeterminism) {
  ExpectSameBitsWithThreads(LinearAttentionProblem(GetParam(), DType::kF32),
                            Passes::kTwo, {2, 3, 8});
}

INSTANTIATE_TEST_SUITE_P(
    Cases, SharedKeys, testing::ValuesIn(SharedKeyCases()),
    [](const testing::TestParamInfo<LinearAttentionCase>& info) {
      return info.param.name;
    });

// bf16 has the outputs, and refuses the gradients.
TEST(SharedKeysInBf16, OutputsAreLikeRepeatedOnes) {
  const auto op = CreateCpuLinearAttention();
  CpuStream stream(1);
  for (const LinearAttentionCase& c : SharedKeyCases()) {
    if (c.transition == Transition::kVector) continue;
    if (c.transition == Transition::kDense) continue;
    const LinearAttentionProblem problem(c, DType::kBF16);
    const LinearAttentionProblem own = WithOwnKeys(problem);
    const auto actual = problem.RunOutputs(*op, stream, BackendKind::kCpu, 1);
    const auto expected = own.RunOutputs(*op, stream, BackendKind::kCpu, 1);
    EXPECT_EQ(actual.o, expected.o) << c.name;
    EXPECT_EQ(actual.final_state, expected.final_state) << c.name;
  }
}

TEST(SharedKeysInBf16, GradientsAreRefused) {
  LinearAttentionCase c;
  c.heads = 4;
  c.key_heads = 2;
  const LinearAttentionProblem problem(c, DType::kBF16);
  const HostTensor d_q(DType::kBF16, {1, 1, 2, 16});
  const HostTensor d_k(DType::kBF16, {1, 1, 2, 16});
  const HostTensor d_v(DType::kBF16, {1, 1, 4, 16});
  CpuStream stream(1);
  const absl::Status status = CreateCpuLinearAttention()->Gradients(
      problem.inputs(), {}, {problem.d_o(), {}}, ChunkTerms::kAll,
      {d_q.view(), d_k.view(), d_v.view()}, {}, stream);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("4 heads that share 2 of q and k"));
}

TEST(SharedKeyErrors, NameTheHeads) {
  LinearAttentionCase c;
  c.tokens = 5;
  c.heads = 4;
  c.key_heads = 2;
  const LinearAttentionProblem problem(c, DType::kF32);
  const HostTensor k(DType::kF32, {1, 5, 3, 16});
  const HostTensor q(DType::kF32, {1, 5, 4, 16});
  const HostTensor o(DType::kF32, {1, 5, 4, 16});
  const HostTensor workspace = HostTensor::Workspace(1 << 20);
  CpuStream stream(1);
  for (auto& op :
       {CreateCpuLinearAttention(), CreateReferenceLinearAttention()}) {
    const auto call = [&](ConstTensorView queries, ConstTensorView keys) {
      LinearAttentionInputs inputs = problem.inputs();
      inputs.q = queries;
      inputs.k = keys;
      return std::string(op->Outputs(inputs, {}, ChunkTerms::kAll, {o.view()},
                                     workspace.view(), stream)
                             .message());
    };
    EXPECT_THAT(call(k.view(), k.view()),
                HasSubstr("Outputs: v has 4 heads, not a multiple of the 3 of "
                          "k"));
    EXPECT_THAT(call(q.view(), problem.k()),
                HasSubstr("q is f32[1, 5, 4, 16], needs f32[1, 5, 2, 16]"));
  }
}

}  // namespace
}  // namespace longspan::kernels
