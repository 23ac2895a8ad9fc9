// The CPU backend against the reference, every case of the list, both types,
// every instruction set of this processor, with and without splitting the
// backward pass over threads.
#include <cmath>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/cpu_stream.h"
#include "kernels/reference/reference_ops.h"
#include "tests/support/attention/softmax_attention_cases.h"

namespace longspan::kernels {
namespace {

void ExpectClose(const std::vector<double>& actual,
                 const std::vector<double>& expected, double tolerance,
                 const char* what) {
  ASSERT_EQ(actual.size(), expected.size()) << what;
  EXPECT_LE(RelativeRms(actual, expected), tolerance) << what;
}

// Queries that see no key have minus infinity in both.
void ExpectLse(std::vector<double> actual, std::vector<double> expected,
               double tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    ASSERT_EQ(std::isinf(actual[i]), std::isinf(expected[i])) << "query " << i;
    if (std::isinf(expected[i])) actual[i] = expected[i] = 0.0;
  }
  ExpectClose(actual, expected, tolerance, "lse");
}

class SoftmaxAttentionConformance
    : public testing::TestWithParam<SoftmaxAttentionCase> {};

TEST_P(SoftmaxAttentionConformance, AgreesWithReference) {
  const auto reference = CreateReferenceSoftmaxAttention();
  for (DType dtype : {DType::kF64, DType::kF32}) {
    const double tolerance = dtype == DType::kF64 ? 1e-10 : 1e-5;
    CpuStream one(1), three(3);
    const SoftmaxAttentionProblem problem(GetParam(), dtype);
    const SoftmaxAttentionResults expected =
        problem.Run(*reference, one, BackendKind::kReference, 1);
    for (int i = 0; i <= static_cast<int>(BestInstructionSet()); ++i) {
      const auto set = static_cast<InstructionSet>(i);
      SCOPED_TRACE(std::string(DTypeName(dtype)) + " " +
                   InstructionSetName(set));
      const auto op = CreateCpuSoftmaxAttention(set);
      const SoftmaxAttentionResults actual =
          problem.Run(*op, one, BackendKind::kCpu, 1);
      ExpectClose(actual.o, expected.o, tolerance, "o");
      ExpectLse(actual.lse, expected.lse, tolerance);
      ExpectClose(actual.d_q, expected.d_q, tolerance, "d_q");
      ExpectClose(actual.d_k, expected.d_k, tolerance, "d_k");
      ExpectClose(actual.d_v, expected.d_v, tolerance, "d_v");
      if (set != BestInstructionSet()) continue;
      const SoftmaxAttentionResults threaded =
          problem.Run(*op, three, BackendKind::kCpu, 3);
      EXPECT_EQ(threaded.o, actual.o);
      EXPECT_EQ(threaded.d_q, actual.d_q);
      EXPECT_EQ(threaded.d_k, actual.d_k);
      EXPECT_EQ(threaded.d_v, actual.d_v);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Cases, SoftmaxAttentionConformance,
    testing::ValuesIn(SoftmaxAttentionCases()),
    [](const testing::TestParamInfo<SoftmaxAttentionCase>& info) {
      return info.param.name;
    });

}  // namespace
}  // namespace longspan::kernels
