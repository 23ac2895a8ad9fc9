// The CPU backend against the reference, every case of the list, both types,
// every instruction set of this processor.
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/cpu_stream.h"
#include "kernels/reference/reference_ops.h"
#include "tests/support/attention/linear_attention_bounds.h"
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

void ExpectResults(const LinearAttentionProblem& problem,
                   const LinearAttentionResults& actual,
                   const LinearAttentionResults& expected) {
  for (const ComparedTensor& compared :
       CompareResults(problem, actual, expected)) {
    EXPECT_LE(compared.error, compared.bound) << compared.name;
  }
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

INSTANTIATE_TEST_SUITE_P(
    SharedKeys, LinearAttentionConformance, testing::ValuesIn(SharedKeyCases()),
    [](const testing::TestParamInfo<LinearAttentionCase>& info) {
      return info.param.name;
    });

INSTANTIATE_TEST_SUITE_P(
    Snapshots, LinearAttentionConformance, testing::ValuesIn(SnapshotCases()),
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
  for (const auto& all : {LinearAttentionCases(), VectorGateCases(),
                          DenseCases(), SharedKeyCases()}) {
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
