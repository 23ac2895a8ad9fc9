// bf16 operands on the CPU: against the reference in double on the same rounded
// operands, held to the bounds of the CUDA kernels. Every processor runs the
// plain form of the kernels, and one with tiles that form, too.
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "common/base/check.h"
#include "gtest/gtest.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/cpu_stream.h"
#include "kernels/cpu/instruction_set.h"
#include "kernels/cpu/linear_attention_kernels.h"
#include "kernels/reference/reference_ops.h"
#include "tests/kernels/attention/thread_counts.h"
#include "tests/support/attention/linear_attention_bounds.h"
#include "tests/support/attention/linear_attention_cases.h"
#include "tests/support/attention/linear_attention_problem.h"

namespace longspan::kernels {
namespace {

using Cases = std::vector<LinearAttentionCase>;

std::vector<InstructionSet> FormsHere() {
  std::vector<InstructionSet> sets = {InstructionSet::kBaseline};
  if (HasBf16Tiles(BestInstructionSet())) sets.push_back(BestInstructionSet());
  return sets;
}

// The forms differ in how a term is computed, so one of them runs both.
std::vector<Passes> PassesOfForm(InstructionSet set) {
  if (set != FormsHere().back()) return {Passes::kOne};
  return {Passes::kOne, Passes::kTwo};
}

std::string CaseName(const testing::TestParamInfo<LinearAttentionCase>& info) {
  return info.param.name;
}

class LinearAttentionBf16 : public testing::TestWithParam<LinearAttentionCase> {
};

TEST_P(LinearAttentionBf16, AgreesWithReference) {
  CpuStream stream(1);
  const LinearAttentionProblem problem(GetParam(), DType::kBF16);
  const LinearAttentionResults expected =
      problem.Run(*CreateReferenceLinearAttention(), stream,
                  BackendKind::kReference, 1, Passes::kOne);
  for (InstructionSet set : FormsHere()) {
    const auto op = CreateCpuLinearAttention(set);
    for (Passes passes : PassesOfForm(set)) {
      SCOPED_TRACE(std::string(InstructionSetName(set)) +
                   (passes == Passes::kOne ? " one pass" : " two passes"));
      const LinearAttentionResults actual =
          problem.Run(*op, stream, BackendKind::kCpu, 1, passes);
      for (const ComparedTensor& compared :
           CompareResults(problem, actual, expected)) {
        EXPECT_LE(compared.error, compared.bound) << compared.name;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, LinearAttentionBf16,
                         testing::ValuesIn(LinearAttentionCases()), CaseName);

// The largest heads, one at a time and several together.
Cases LargeCases() {
  Cases cases;
  for (auto [key_dim, value_dim, heads] :
       {std::tuple{512, 20, 1}, {20, 512, 1}, {64, 64, 9}}) {
    LinearAttentionCase c;
    c.transition = Transition::kScalar;
    c.tokens = 66;
    c.heads = heads;
    c.key_dim = key_dim;
    c.value_dim = value_dim;
    c.fused_projection = heads > 1;
    c.name = "K" + std::to_string(key_dim) + "V" + std::to_string(value_dim) +
             "H" + std::to_string(heads);
    cases.push_back(c);
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Large, LinearAttentionBf16,
                         testing::ValuesIn(LargeCases()), CaseName);

LinearAttentionCase CaseOf(Transition transition, int64_t tokens) {
  LinearAttentionCase c;
  c.transition = transition;
  c.batch = 2;
  c.tokens = tokens;
  c.heads = 3;
  c.key_dim = 40;
  c.value_dim = 72;
  return c;
}

// Cut at a multiple of the chunk, the state carried, no bit differs.
TEST(LinearAttentionBf16Split, CarriesTheState) {
  constexpr int64_t kCut = 128, kTokens = 200;
  const LinearAttentionProblem problem(CaseOf(Transition::kScalar, kTokens),
                                       DType::kBF16);
  const LinearAttentionCase& c = problem.case_of();
  CpuStream stream(1);
  const HostTensor workspace = HostTensor::Workspace(
      LinearAttentionWorkspaceBytes(LinearAttentionStage::kOutputs,
                                    problem.shape(), BackendKind::kCpu, 1));
  for (InstructionSet set : FormsHere()) {
    const auto op = CreateCpuLinearAttention(set);
    const LinearAttentionResults whole =
        problem.RunOutputs(*op, stream, BackendKind::kCpu, 1);
    HostTensor o(DType::kBF16, {c.batch, kTokens, c.heads, c.value_dim});
    HostTensor state(DType::kF32, {c.batch, c.heads, c.key_dim, c.value_dim});
    HostTensor end(DType::kF32, {c.batch, c.heads, c.key_dim, c.value_dim});
    LONGSPAN_CHECK_OK(op->Outputs(problem.Tokens(0, kCut).inputs,
                                  problem.initial_state(), ChunkTerms::kAll,
                                  {o.view().Slice(1, 0, kCut), state.view()},
                                  workspace.view(), stream));
    LONGSPAN_CHECK_OK(op->Outputs(
        problem.Tokens(kCut, kTokens).inputs, state.view(), ChunkTerms::kAll,
        {o.view().Slice(1, kCut, kTokens), end.view()}, workspace.view(),
        stream));
    EXPECT_EQ(o.ToDoubles(), whole.o);
    EXPECT_EQ(end.ToDoubles(), whole.final_state);
  }
}

// Gradients of one head with the states of `group_blocks` blocks kept.
std::vector<double> GradientsKeeping(const LinearAttentionProblem& problem,
                                     int64_t group_blocks) {
  const LinearAttentionCase& c = problem.case_of();
  const auto rows = [](const TensorView& view) {
    return OperandRows<BFloat16>{view.data_as<BFloat16>(), view.stride(1)};
  };
  const HostTensor out(DType::kBF16, {1, 3 * c.tokens, 1, c.key_dim});
  const auto result = [&](int64_t i) {
    const TensorView view =
        out.view().Slice(1, i * c.tokens, (i + 1) * c.tokens);
    return ResultRows<BFloat16>{view.data_as<BFloat16>(), view.stride(1)};
  };
  const HostTensor d_gates = problem.LikeGates();
  LinearAttentionGroup<BFloat16> group;
  group.count = 1;
  group.plan =
      PlanLinearAttention(LinearAttentionStage::kGradients, problem.shape(), 1);
  EXPECT_EQ(group.plan.groups, 1);
  // Room for as many groups as there may be.
  const HostTensor scratch =
      HostTensor::Workspace(2 * group.plan.scratch_elements +
                            4 * group.plan.blocks * group.plan.state_elements);
  group.plan.group_blocks = group_blocks;
  group.plan.groups = (group.plan.blocks + group_blocks - 1) / group_blocks;
  group.scratch = static_cast<BFloat16*>(scratch.view().data());
  LinearAttentionSequence<BFloat16>& s = group.heads[0];
  s.tokens = c.tokens;
  s.key_dim = c.key_dim;
  s.value_dim = c.value_dim;
  s.decay = DecayKind::kPerToken;
  s.log_gate = {problem.log_gate().data_as<float>(), 1};
  s.document_starts = c.document_starts.data();
  s.document_count = static_cast<int64_t>(c.document_starts.size());
  s.q = rows(problem.q());
  s.k = rows(problem.k());
  s.v = rows(problem.v());
  s.d_o = rows(problem.d_o());
  s.d_q = result(0);
  s.d_k = result(1);
  s.d_v = result(2);
  s.d_log_gate = {d_gates.view().data_as<float>(), 1};
  Bf16AttentionFor(BestInstructionSet()).gradients(group);
  std::vector<double> all = out.ToDoubles();
  for (double x : d_gates.ToDoubles()) all.push_back(x);
  return all;
}

TEST(LinearAttentionBf16Recompute, KeepingFewerStatesChangesNoBit) {
  LinearAttentionCase c = CaseOf(Transition::kScalar, 9 * 64 + 5);
  c.batch = c.heads = 1;
  c.value_dim = c.key_dim;
  for (const std::vector<int64_t>& starts :
       {std::vector<int64_t>{}, {128, 300, 301}}) {
    c.document_starts = starts;
    const LinearAttentionProblem problem(c, DType::kBF16);
    const std::vector<double> all_kept = GradientsKeeping(problem, 10);
    for (int64_t group_blocks : {1, 3, 4, 9}) {
      EXPECT_EQ(GradientsKeeping(problem, group_blocks), all_kept)
          << group_blocks;
    }
  }
}

TEST(LinearAttentionBf16Determinism, BitsDoNotDependOnThreads) {
  ExpectSameBitsWithThreads(
      LinearAttentionProblem(CaseOf(Transition::kScalar, 100), DType::kBF16),
      Passes::kOne, {3});
}

TEST(LinearAttentionBf16Decode, AdvancesTheSlots) {
  CpuStream stream(1);
  for (Transition transition :
       {Transition::kIdentity, Transition::kConstant, Transition::kScalar,
        Transition::kVector, Transition::kDense}) {
    const LinearAttentionProblem problem(CaseOf(transition, 3), DType::kBF16);
    const LinearAttentionCase& c = problem.case_of();
    HostTensor slots(DType::kI32, {2});
    slots.view().data_as<int32_t>()[0] = 3;
    slots.view().data_as<int32_t>()[1] = 1;
    const auto decode = [&](LinearAttention& op) {
      HostTensor pool(DType::kF32, {4, c.heads, c.key_dim, c.value_dim});
      FillUniform(9, -1.0, 1.0, pool.view());
      HostTensor o(DType::kBF16, {2, 3, c.heads, c.value_dim});
      LONGSPAN_CHECK_OK(op.Decode(problem.inputs(), slots.view(), pool.view(),
                                  o.view(), stream));
      return std::pair(pool.ToDoubles(), o.ToDoubles());
    };
    const auto expected = decode(*CreateReferenceLinearAttention());
    const auto actual = decode(*CreateCpuLinearAttention());
    EXPECT_LE(RelativeRms(actual.first, expected.first), 1e-6);
    EXPECT_LE(RelativeRms(actual.second, expected.second), 5e-3);
  }
}

TEST(LinearAttentionBf16Refusals, NameTheTransition) {
  CpuStream stream(1);
  for (auto [transition, words] :
       {std::pair{Transition::kVector, "vector gates need f32"},
        {Transition::kDense, "the delta rule needs f32"}}) {
    const LinearAttentionProblem problem(CaseOf(transition, 3), DType::kBF16);
    const LinearAttentionCase& c = problem.case_of();
    HostTensor o(DType::kBF16, {2, 3, c.heads, c.value_dim});
    const absl::Status status = CreateCpuLinearAttention()->Outputs(
        problem.inputs(), {}, ChunkTerms::kAll, {o.view(), {}}, {}, stream);
    EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
    EXPECT_NE(status.message().find(words), absl::string_view::npos) << status;
  }
}

}  // namespace
}  // namespace longspan::kernels
