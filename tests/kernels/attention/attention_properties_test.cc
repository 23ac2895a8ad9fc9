// What holds beyond agreement with the reference: the past never sees the
// future, thread counts never change bits, decoding continues a sequence, and
// operands that do not fit are refused by name.
#include <cmath>
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
#include "tests/support/attention/softmax_attention_cases.h"

namespace longspan::kernels {
namespace {

using ::testing::HasSubstr;

LinearAttentionCase Linear(int64_t batch, int64_t tokens, int64_t heads,
                           int64_t dim, Transition transition) {
  LinearAttentionCase c;
  c.batch = batch;
  c.tokens = tokens;
  c.heads = heads;
  c.key_dim = c.value_dim = dim;
  c.transition = transition;
  c.dense_decay = Transition::kVector;
  return c;
}

// Every transition, and the delta rule with each of its decays.
std::vector<LinearAttentionCase> EveryTransition(int64_t batch, int64_t tokens,
                                                 int64_t heads, int64_t dim) {
  std::vector<LinearAttentionCase> cases;
  for (Transition transition : {Transition::kIdentity, Transition::kConstant,
                                Transition::kScalar, Transition::kVector}) {
    cases.push_back(Linear(batch, tokens, heads, dim, transition));
  }
  for (Transition decay :
       {Transition::kIdentity, Transition::kScalar, Transition::kVector}) {
    cases.push_back(Linear(batch, tokens, heads, dim, Transition::kDense));
    cases.back().dense_decay = decay;
  }
  return cases;
}

std::string NameOf(const LinearAttentionCase& c) {
  return "transition " + std::to_string(static_cast<int>(c.transition)) +
         ", decay of the delta rule " +
         std::to_string(static_cast<int>(c.dense_decay));
}

SoftmaxAttentionCase Softmax(int64_t tokens, int64_t dim, AttentionMask mask,
                             int64_t window) {
  SoftmaxAttentionCase c;
  c.query_tokens = c.key_tokens = tokens;
  c.heads = 2;
  c.key_heads = 1;
  c.head_dim = dim;
  c.mask = mask;
  c.window = window;
  return c;
}

// Adds to the rows of token t of a [1, T, H, D] operand.
void Perturb(const TensorView& operand, int64_t t) {
  const TensorView token = operand.Slice(1, t, t + 1);
  std::vector<double> values = ToDoubles(token);
  for (double& value : values) value = 3.0 - 2.0 * value;
  FromDoubles(values, token);
}

// The first `tokens` tokens of [1, T, H, D] row-major values.
std::vector<double> Before(const std::vector<double>& values, int64_t all,
                           int64_t tokens) {
  return {values.begin(), values.begin() + values.size() / all * tokens};
}

TEST(LinearAttentionCausality, ChangingATokenLeavesEarlierOutputsAlone) {
  constexpr int64_t kTokens = 150;
  const auto op = CreateCpuLinearAttention();
  CpuStream stream(1);
  for (DType dtype : {DType::kF32, DType::kF64}) {
    for (const LinearAttentionCase& c : EveryTransition(1, kTokens, 2, 16)) {
      SCOPED_TRACE(NameOf(c));
      const auto run = [&](const LinearAttentionProblem& problem) {
        return problem.RunOutputs(*op, stream, BackendKind::kCpu, 1).o;
      };
      const std::vector<double> expected =
          run(LinearAttentionProblem(c, dtype));
      for (int64_t t : {1, 7, 63, 64, 65, 90, 127, 128, 149}) {
        const LinearAttentionProblem changed(c, dtype);
        Perturb(changed.q(), t);
        Perturb(changed.k(), t);
        Perturb(changed.v(), t);
        const std::vector<double> actual = run(changed);
        EXPECT_EQ(Before(actual, kTokens, t), Before(expected, kTokens, t));
        EXPECT_NE(actual, expected);
      }
    }
  }
}

TEST(LinearAttentionCausality, GradientsReachOnlyBackwards) {
  constexpr int64_t kTokens = 150;
  const auto op = CreateCpuLinearAttention();
  CpuStream stream(1);
  for (Transition transition :
       {Transition::kScalar, Transition::kVector, Transition::kDense}) {
    const LinearAttentionCase c = Linear(1, kTokens, 2, 16, transition);
    const auto run = [&](const LinearAttentionProblem& problem) {
      return problem.Run(*op, stream, BackendKind::kCpu, 1, Passes::kOne);
    };
    const auto expected = run(LinearAttentionProblem(c, DType::kF32));
    for (int64_t t : {0, 63, 64, 100}) {
      const LinearAttentionProblem changed(c, DType::kF32);
      Perturb(changed.d_o(), t);
      const auto actual = run(changed);
      const auto after = [&](const std::vector<double>& values) {
        return std::vector<double>(
            values.begin() + values.size() / kTokens * (t + 1), values.end());
      };
      EXPECT_EQ(after(actual.d_k), after(expected.d_k));
      EXPECT_EQ(after(actual.d_v), after(expected.d_v));
      EXPECT_EQ(after(actual.d_q), after(expected.d_q));
      EXPECT_NE(actual.d_k, expected.d_k);
    }
  }
}

TEST(SoftmaxAttentionCausality, ChangingATokenLeavesEarlierOutputsAlone) {
  constexpr int64_t kTokens = 150;
  const auto op = CreateCpuSoftmaxAttention();
  CpuStream stream(1);
  for (AttentionMask mask : {AttentionMask::kCausal, AttentionMask::kWindow}) {
    const SoftmaxAttentionCase c = Softmax(kTokens, 16, mask, 40);
    const auto run = [&](const SoftmaxAttentionProblem& problem) {
      return problem.Run(*op, stream, BackendKind::kCpu, 1).o;
    };
    const std::vector<double> expected =
        run(SoftmaxAttentionProblem(c, DType::kF32));
    for (int64_t t : {1, 7, 63, 64, 65, 90, 128, 149}) {
      const SoftmaxAttentionProblem changed(c, DType::kF32);
      Perturb(changed.q(), t);
      Perturb(changed.k(), t);
      Perturb(changed.v(), t);
      const std::vector<double> actual = run(changed);
      EXPECT_EQ(Before(actual, kTokens, t), Before(expected, kTokens, t));
      EXPECT_NE(actual, expected);
    }
  }
}

TEST(LinearAttentionDeterminism, ThreadsChangeNoBit) {
  for (const LinearAttentionCase& c :
       {Linear(2, 70, 3, 16, Transition::kIdentity),
        Linear(1, 200, 1, 16, Transition::kScalar),
        Linear(1, 100, 5, 32, Transition::kScalar),
        Linear(3, 70, 3, 16, Transition::kConstant),
        Linear(1, 150, 3, 48, Transition::kVector),
        Linear(1, 150, 3, 48, Transition::kDense)}) {
    ExpectSameBitsWithThreads(LinearAttentionProblem(c, DType::kF32),
                              Passes::kOne, {1, 2, 3, 4});
  }
}

// Decoding token by token continues from the state as a longer sequence does.
TEST(LinearAttentionDecode, ContinuesASequence) {
  CpuStream stream(2);
  std::vector<LinearAttentionCase> cases = EveryTransition(3, 5, 2, 24);
  for (LinearAttentionCase c : EveryTransition(3, 5, 4, 24)) {
    c.key_heads = 2;
    cases.push_back(c);
  }
  for (const LinearAttentionCase& c : cases) {
    SCOPED_TRACE(NameOf(c));
    const LinearAttentionProblem problem(c, DType::kF64);
    const auto whole = problem.Run(*CreateReferenceLinearAttention(), stream,
                                   BackendKind::kReference, 1, Passes::kOne);
    for (auto& op :
         {CreateCpuLinearAttention(), CreateReferenceLinearAttention()}) {
      HostTensor pool(DType::kF64, {7, c.heads, c.key_dim, c.value_dim});
      HostTensor slots(DType::kI32, {c.batch});
      HostTensor o(DType::kF64, {c.batch, c.tokens, c.heads, c.value_dim});
      FillUniform(9, -1.0, 1.0, pool.view());
      const std::vector<double> untouched =
          ToDoubles(pool.view().Slice(0, 3, 4));
      for (int b = 0; b < 3; ++b) {
        const int slot = 6 - 2 * b;  // 6, 4, 2
        slots.view().data_as<int32_t>()[b] = slot;
        FromDoubles(ToDoubles(problem.initial_state().Slice(0, b, b + 1)),
                    pool.view().Slice(0, slot, slot + 1));
      }
      // Two tokens, then one at a time.
      for (auto [begin, end] : {std::pair{0, 2}, {2, 3}, {3, 4}, {4, 5}}) {
        const auto range = problem.Tokens(begin, end);
        ASSERT_EQ(op->Decode(range.inputs, slots.view(), pool.view(),
                             o.view().Slice(1, begin, end), stream),
                  absl::OkStatus());
      }
      EXPECT_LE(RelativeRms(o.ToDoubles(), whole.o), 1e-12);
      std::vector<double> states;
      for (int slot : {6, 4, 2}) {
        for (double x : ToDoubles(pool.view().Slice(0, slot, slot + 1))) {
          states.push_back(x);
        }
      }
      EXPECT_LE(RelativeRms(states, whole.final_state), 1e-12);
      EXPECT_EQ(ToDoubles(pool.view().Slice(0, 3, 4)), untouched);
    }
  }
}

class AttentionErrors : public testing::Test {
 protected:
  AttentionErrors()
      : problem_(Linear(1, 10, 2, 16, Transition::kScalar), DType::kF32),
        inputs_(problem_.inputs()),
        o_(DType::kF32, {1, 10, 2, 16}),
        workspace_(HostTensor::Workspace(LinearAttentionWorkspaceBytes(
            LinearAttentionStage::kOutputs, problem_.shape(), BackendKind::kCpu,
            1))) {}

  void ExpectRefused(const std::string& text) {
    const absl::Status status =
        op_->Outputs(inputs_, {}, ChunkTerms::kAll, {o_.view(), {}},
                     workspace_.view(), stream_);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(text));
    // Nothing was written.
    EXPECT_TRUE(std::isnan(o_.ToDoubles()[0]));
  }

  const LinearAttentionProblem problem_;
  LinearAttentionInputs inputs_;
  HostTensor o_, workspace_;
  const std::unique_ptr<LinearAttention> op_ = CreateCpuLinearAttention();
  CpuStream stream_{1};
};

TEST_F(AttentionErrors, GateMissing) {
  inputs_.log_gate = {};
  ExpectRefused("log_gate");
}

TEST_F(AttentionErrors, OutputOfAnotherShape) {
  o_ = HostTensor(DType::kF32, {1, 10, 2, 15});
  ExpectRefused("o is f32[1, 10, 2, 15]");
}

TEST_F(AttentionErrors, OutputOfAnotherType) {
  o_ = HostTensor(DType::kF64, {1, 10, 2, 16});
  ExpectRefused("o is f64[1, 10, 2, 16]");
}

TEST_F(AttentionErrors, HeadTooLarge) {
  const HostTensor large(DType::kF32, {1, 10, 2, 513});
  inputs_.k = large.view();
  ExpectRefused("key dimension 513 is outside [1, 512]");
}

TEST_F(AttentionErrors, DocumentsOutOfOrder) {
  const int64_t starts[] = {4, 4};
  inputs_.documents = {starts, 2};
  ExpectRefused("document start 4 must be above 4 and below 10");
}

TEST_F(AttentionErrors, DocumentBeyondTheEnd) {
  const int64_t starts[] = {4, 10};
  inputs_.documents = {starts, 2};
  ExpectRefused("document start 10 must be above 4 and below 10");
}

TEST_F(AttentionErrors, WorkspaceTooSmall) {
  workspace_ = HostTensor::Workspace(64);
  ExpectRefused("workspace");
}

TEST(AttentionErrorsSoftmax, HeadsThatDoNotDivide) {
  const auto op = CreateCpuSoftmaxAttention();
  CpuStream stream(1);
  const HostTensor q(DType::kF32, {1, 8, 3, 16});
  const HostTensor k(DType::kF32, {1, 8, 2, 16});
  SoftmaxAttentionInputs inputs;
  inputs.q = q.view();
  inputs.k = inputs.v = k.view();
  const absl::Status status = op->Forward(inputs, {}, {}, {}, stream);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("3 query heads are no multiple of 2 key heads"));
}

TEST(AttentionErrorsSoftmax, WindowOfNothing) {
  const auto op = CreateCpuSoftmaxAttention();
  CpuStream stream(1);
  const HostTensor q(DType::kF32, {1, 8, 2, 16});
  SoftmaxAttentionInputs inputs;
  inputs.q = inputs.k = inputs.v = q.view();
  inputs.mask = AttentionMask::kWindow;
  const absl::Status status = op->Forward(inputs, {}, {}, {}, stream);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("window 0 must be at least 1"));
}

}  // namespace
}  // namespace longspan::kernels
