// Operands of linear attention that every backend refuses in the same words,
// and what the two passes promise about memory that is not fresh.
#include <cmath>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/cpu_stream.h"
#include "kernels/reference/reference_ops.h"
#include "tests/support/attention/linear_attention_cases.h"
#include "tests/support/attention/linear_attention_problem.h"

namespace longspan::kernels {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kTokens = 10;
constexpr int64_t kHeads = 2;
constexpr int64_t kDim = 16;

LinearAttentionCase CaseOf(Transition transition) {
  LinearAttentionCase c;
  c.tokens = kTokens;
  c.heads = kHeads;
  c.transition = transition;
  c.dense_decay = Transition::kScalar;
  return c;
}

// Operands of all entry points that fit together, for a call to spoil.
struct Call {
  explicit Call(Transition transition)
      : problem(CaseOf(transition), DType::kF32), inputs(problem.inputs()) {
    summary = problem.SummaryOf(state.view(), decays.view().Select(0, 0));
    gradients = {d_q.view(),        d_k.view(), d_v.view(),
                 d_log_gate.view(), {},         d_beta.view()};
  }

  absl::Status Summarise(LinearAttention& op, Stream& stream) const {
    return op.Summarise(inputs, summary, workspace.view(), stream);
  }
  absl::Status Outputs(LinearAttention& op, Stream& stream) const {
    return op.Outputs(inputs, {}, ChunkTerms::kAll, {o.view(), {}},
                      workspace.view(), stream);
  }
  absl::Status Gradients(LinearAttention& op, Stream& stream) const {
    return op.Gradients(inputs, {}, {problem.d_o(), {}}, ChunkTerms::kAll,
                        gradients, workspace.view(), stream);
  }
  absl::Status Fold(LinearAttention& op, Stream& stream,
                    ConstTensorView of) const {
    const HostTensor states(DType::kF32, {3, 1, kHeads, kDim, kDim});
    return op.FoldSummaries(states.view(), of, {}, false, state.view(), stream);
  }

  const LinearAttentionProblem problem;
  LinearAttentionInputs inputs;
  LinearAttentionSummary summary;
  LinearAttentionGradients gradients;
  const HostTensor state{DType::kF32, {1, kHeads, kDim, kDim}};
  const HostTensor decays = problem.SummaryDecays(1);
  const HostTensor o{DType::kF32, {1, kTokens, kHeads, kDim}};
  const HostTensor d_q{DType::kF32, {1, kTokens, kHeads, kDim}};
  const HostTensor d_k{DType::kF32, {1, kTokens, kHeads, kDim}};
  const HostTensor d_v{DType::kF32, {1, kTokens, kHeads, kDim}};
  const HostTensor d_log_gate = problem.LikeGates();
  const HostTensor d_beta = problem.LikeBeta();
  const HostTensor workspace = HostTensor::Workspace(1 << 20);
};

struct BadCall {
  std::string name;
  std::string problem;
  std::function<absl::Status(Call&, LinearAttention&, Stream&)> run;
  Transition transition = Transition::kDense;
};

void PrintTo(const BadCall& call, std::ostream* out) { *out << call.name; }

std::vector<BadCall> DenseCalls() {
  return {
      {"SummariseWithoutBeta", "Summarise: beta is missing",
       [](Call& call, LinearAttention& op, Stream& stream) {
         call.inputs.beta = {};
         return call.Summarise(op, stream);
       }},
      {"OutputsWithoutBeta", "Outputs: beta is missing",
       [](Call& call, LinearAttention& op, Stream& stream) {
         call.inputs.beta = {};
         return call.Outputs(op, stream);
       }},
      {"WithoutGradientOfBeta", "Gradients: d_beta is missing",
       [](Call& call, LinearAttention& op, Stream& stream) {
         call.gradients.d_beta = {};
         return call.Gradients(op, stream);
       }},
      {"WithoutGradientOfGates", "Gradients: d_log_gate is missing",
       [](Call& call, LinearAttention& op, Stream& stream) {
         call.gradients.d_log_gate = {};
         return call.Gradients(op, stream);
       }},
      {"GatesOfRank2", "Outputs: log_gate is f32[10, 2], needs f32[1, 10, 2]",
       [](Call& call, LinearAttention& op, Stream& stream) {
         call.inputs.log_gate = call.inputs.log_gate.Select(0, 0);
         return call.Outputs(op, stream);
       }},
      {"WithoutTransition", "Summarise: summary transition is missing",
       [](Call& call, LinearAttention& op, Stream& stream) {
         call.summary.transition = {};
         return call.Summarise(op, stream);
       }},
      {"WithLogDecay", "the delta rule has a summary transition, and no",
       [](Call& call, LinearAttention& op, Stream& stream) {
         // Of a shape that no transition has.
         call.summary.log_decay = call.d_beta.view();
         return call.Summarise(op, stream);
       }},
  };
}

std::vector<BadCall> OtherCalls() {
  return {
      {"TransitionOfScalarGates",
       "only the delta rule has a summary transition",
       [](Call& call, LinearAttention& op, Stream& stream) {
         call.summary.transition = call.state.view();
         return call.Summarise(op, stream);
       },
       Transition::kScalar},
      {"FoldOfRank2", "decays is f32[3, 2], needs f32[3, 1, 2]",
       [](Call& call, LinearAttention& op, Stream& stream) {
         const HostTensor decays(DType::kF32, {3, kHeads});
         return call.Fold(op, stream, decays.view());
       }},
      {"FoldOfChannels", "decays is f32[3, 1, 2, 15], needs f32[3, 1, 2, 16]",
       [](Call& call, LinearAttention& op, Stream& stream) {
         const HostTensor decays(DType::kF32, {3, 1, kHeads, kDim - 1});
         return call.Fold(op, stream, decays.view());
       }},
      {"FoldOfMatrices",
       "decays is f32[3, 1, 2, 16, 1], needs f32[3, 1, 2, 16, 16]",
       [](Call& call, LinearAttention& op, Stream& stream) {
         const HostTensor decays(DType::kF32, {3, 1, kHeads, kDim, 1});
         return call.Fold(op, stream, decays.view());
       }},
      {"FoldWithoutDecays", "decays is missing",
       [](Call& call, LinearAttention& op, Stream& stream) {
         return call.Fold(op, stream, {});
       }},
  };
}

std::vector<BadCall> AllCalls() {
  std::vector<BadCall> calls = DenseCalls();
  for (const BadCall& call : OtherCalls()) calls.push_back(call);
  return calls;
}

class LinearAttentionOperands : public testing::TestWithParam<BadCall> {};

TEST_P(LinearAttentionOperands, AreRefusedInTheSameWordsByEveryBackend) {
  CpuStream stream(1);
  for (auto& op :
       {CreateCpuLinearAttention(), CreateReferenceLinearAttention()}) {
    Call call(GetParam().transition);
    const absl::Status status = GetParam().run(call, *op, stream);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().problem));
    // Nothing was written.
    for (const HostTensor* tensor : {&call.state, &call.o, &call.d_q}) {
      EXPECT_TRUE(std::isnan(tensor->ToDoubles()[0]));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Calls, LinearAttentionOperands,
                         testing::ValuesIn(AllCalls()),
                         [](const testing::TestParamInfo<BadCall>& info) {
                           return info.param.name;
                         });

std::vector<double> OutputsOf(const Call& call, ChunkTerms terms, double start,
                              const HostTensor& o) {
  CpuStream stream(1);
  std::vector<double> values(kTokens * kHeads * kDim, start);
  FromDoubles(values, o.view());
  EXPECT_EQ(CreateCpuLinearAttention()->Outputs(
                call.inputs, call.problem.initial_state(), terms,
                {o.view(), {}}, call.workspace.view(), stream),
            absl::OkStatus());
  return o.ToDoubles();
}

// kIntraChunk overwrites what was there.
TEST(LinearAttentionPasses, TheFirstOverwrites) {
  for (Transition transition :
       {Transition::kIdentity, Transition::kConstant, Transition::kScalar,
        Transition::kVector, Transition::kDense}) {
    const Call call(transition);
    EXPECT_EQ(OutputsOf(call, ChunkTerms::kIntraChunk, 3.0, call.o),
              OutputsOf(call, ChunkTerms::kIntraChunk, NAN, call.o));
  }
}

// kInterChunk adds to what was there, but with the delta rule overwrites it.
TEST(LinearAttentionPasses, TheSecondAddsButForTheDeltaRule) {
  for (Transition transition : {Transition::kIdentity, Transition::kConstant,
                                Transition::kScalar, Transition::kVector}) {
    const Call call(transition);
    std::vector<double> sum =
        OutputsOf(call, ChunkTerms::kInterChunk, 0.0, call.o);
    for (double& value : sum) value += 3.0;
    EXPECT_LE(
        RelativeRms(OutputsOf(call, ChunkTerms::kInterChunk, 3.0, call.o), sum),
        1e-6);
  }
  const Call call(Transition::kDense);
  EXPECT_EQ(OutputsOf(call, ChunkTerms::kInterChunk, 3.0, call.o),
            OutputsOf(call, ChunkTerms::kAll, NAN, call.o));
}

}  // namespace
}  // namespace longspan::kernels
