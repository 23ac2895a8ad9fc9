// What a recurrence remembers, without training: P random pairs of a key
// and a value of length 1 are written into one state and read back with each
// key; a pair is recalled when its value scores highest among the P. The shares
// that follow from the update rule alone tell rules apart that agree on
// everything else (64 x 64, 20 trials; the figures are of an independent
// simulation).
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "common/base/random.h"
#include "gtest/gtest.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/cpu_stream.h"
#include "kernels/reference/reference_ops.h"
#include "tests/support/attention/host_tensor.h"
#include "tests/support/attention/linear_attention_problem.h"

namespace longspan::kernels {
namespace {

constexpr int64_t kRecallDim = 64;
constexpr int64_t kTrials = 20;

enum class Rule { kAdditive, kDecay, kDelta };

LinearAttentionCase CaseOf(Rule rule, int64_t pairs, int64_t dim) {
  constexpr Transition kTransitions[] = {
      Transition::kIdentity, Transition::kConstant, Transition::kDense};
  LinearAttentionCase c;
  c.batch = kTrials;
  c.tokens = pairs;
  c.key_dim = c.value_dim = dim;
  c.transition = kTransitions[static_cast<int>(rule)];
  c.has_initial_state = false;
  c.has_final_gradient = false;
  return c;
}

// Rows of length 1 in random directions.
void FillUnitRows(uint64_t seed, const TensorView& view) {
  const RandomKey key = {seed};
  std::vector<double> values(view.element_count());
  const int64_t size = view.size(3);
  for (int64_t row = 0; row < view.element_count(); row += size) {
    double square = 0.0;
    for (int64_t c = 0; c < size; ++c) {
      values[row + c] = RandomNormal(key, row + c);
      square += values[row + c] * values[row + c];
    }
    for (int64_t c = 0; c < size; ++c) {
      values[row + c] /= std::sqrt(square);
    }
  }
  FromDoubles(values, view);
}

// One backend, with the calls that write and read.
class Memory {
 public:
  Memory(LinearAttention& op, BackendKind kind) : op_(op), kind_(kind) {}

  // The pairs of a problem into a state [B, 1, Dk, Dv] that was zero.
  HostTensor Write(const LinearAttentionProblem& problem) {
    const LinearAttentionCase& c = problem.case_of();
    HostTensor state(problem.dtype(), {c.batch, 1, c.key_dim, c.value_dim});
    HostTensor o(problem.dtype(), {c.batch, c.tokens, 1, c.value_dim});
    Run(problem, problem.inputs(), {}, {o.view(), state.view()});
    return state;
  }

  // q S of every q of the problem: a recurrence that writes nothing.
  std::vector<double> Read(const LinearAttentionProblem& problem,
                           const HostTensor& state) {
    const LinearAttentionCase& c = problem.case_of();
    HostTensor zeros(problem.dtype(), {c.batch, c.tokens, 1, c.value_dim});
    FillUniform(1, 0.0, 0.0, zeros.view());
    HostTensor o(problem.dtype(), {c.batch, c.tokens, 1, c.value_dim});
    LinearAttentionInputs inputs;
    inputs.q = problem.k();
    inputs.k = problem.k();
    inputs.v = zeros.view();
    Run(problem, inputs, state.view(), {o.view(), {}});
    return o.ToDoubles();
  }

 private:
  void Run(const LinearAttentionProblem& problem,
           const LinearAttentionInputs& inputs, ConstTensorView initial,
           const LinearAttentionOutputs& outputs) {
    LinearAttentionShape shape = problem.shape();
    if (inputs.transition == Transition::kIdentity) shape.decay = {};
    const HostTensor workspace =
        HostTensor::Workspace(LinearAttentionWorkspaceBytes(
            LinearAttentionStage::kOutputs, shape, kind_, 1));
    ASSERT_EQ(op_.Outputs(inputs, initial, ChunkTerms::kAll, outputs,
                          workspace.view(), stream_),
              absl::OkStatus());
  }

  LinearAttention& op_;
  const BackendKind kind_;
  CpuStream stream_{1};
};

// Of `pairs` values of one trial, that which the read vector points at most.
int64_t Best(const double* read, const double* values, int64_t pairs) {
  int64_t best = 0;
  double most = -INFINITY;
  for (int64_t j = 0; j < pairs; ++j) {
    double score = 0.0;
    for (int64_t c = 0; c < kRecallDim; ++c)
      score += read[c] * values[j * kRecallDim + c];
    if (score > most) best = j;
    if (score > most) most = score;
  }
  return best;
}

double RecalledShare(Memory memory, Rule rule, int64_t pairs, DType dtype) {
  const LinearAttentionProblem problem(CaseOf(rule, pairs, kRecallDim), dtype);
  FillUnitRows(1, problem.k());
  FillUnitRows(2, problem.v());
  if (rule == Rule::kDelta) FillUniform(1, 1.0, 1.0, problem.beta());
  if (rule == Rule::kDecay) FromDoubles({std::log(0.97)}, problem.log_decay());
  const std::vector<double> read = memory.Read(problem, memory.Write(problem));
  const std::vector<double> values = ToDoubles(problem.v());
  int64_t recalled = 0;
  for (int64_t i = 0; i < kTrials * pairs; ++i) {
    const int64_t trial = i / pairs;
    const int64_t best =
        Best(&read[i * kRecallDim], &values[trial * pairs * kRecallDim], pairs);
    recalled += best == i % pairs ? 1 : 0;
  }
  return static_cast<double>(recalled) / static_cast<double>(kTrials * pairs);
}

struct Expectation {
  int64_t pairs;
  double share[3];  // additive, decay of 0.97 a step, delta with beta = 1
};

constexpr Expectation kExpected[] = {{16, {1.000, 1.000, 1.000}},
                                     {32, {1.000, 0.994, 0.997}},
                                     {64, {0.999, 0.775, 0.911}},
                                     {128, {0.982, 0.402, 0.541}},
                                     {256, {0.761, 0.196, 0.259}}};

// Both numbers are shares of 20 P draws: four standard deviations of their
// difference, and one pair in a hundred for shares near 1.
double Allowance(double share, int64_t pairs) {
  return 0.01 + 4.0 * std::sqrt(2.0 * share * (1.0 - share) /
                                static_cast<double>(kTrials * pairs));
}

TEST(RecallOracle, SharesAreThoseOfTheRules) {
  const auto op = CreateCpuLinearAttention();
  for (const Expectation& expected : kExpected) {
    for (int rule = 0; rule < 3; ++rule) {
      const double share =
          RecalledShare(Memory(*op, BackendKind::kCpu), static_cast<Rule>(rule),
                        expected.pairs, DType::kF32);
      EXPECT_NEAR(share, expected.share[rule],
                  Allowance(expected.share[rule], expected.pairs))
          << expected.pairs << " pairs, rule " << rule;
    }
  }
}

TEST(RecallOracle, TheReferenceRecallsTheSame) {
  const auto cpu = CreateCpuLinearAttention();
  const auto reference = CreateReferenceLinearAttention();
  for (Rule rule : {Rule::kAdditive, Rule::kDecay, Rule::kDelta}) {
    EXPECT_EQ(
        RecalledShare(Memory(*reference, BackendKind::kReference), rule, 64,
                      DType::kF64),
        RecalledShare(Memory(*cpu, BackendKind::kCpu), rule, 64, DType::kF64));
  }
}

// (k, v1) and then (k, v2) with |k| = 1, read with k: the rules forget v1 not
// at all, by the decay, and wholly.
TEST(RecallOracle, WritingAKeyTwice) {
  const auto op = CreateCpuLinearAttention();
  for (Rule rule : {Rule::kAdditive, Rule::kDecay, Rule::kDelta}) {
    const LinearAttentionProblem problem(CaseOf(rule, 2, kRecallDim),
                                         DType::kF64);
    FillUnitRows(3, problem.k());
    FromDoubles(ToDoubles(problem.k().Slice(1, 0, 1)),
                problem.k().Slice(1, 1, 2));
    if (rule == Rule::kDelta) FillUniform(1, 1.0, 1.0, problem.beta());
    if (rule == Rule::kDecay) {
      FromDoubles({std::log(0.97)}, problem.log_decay());
    }
    Memory memory(*op, BackendKind::kCpu);
    const std::vector<double> read =
        memory.Read(problem, memory.Write(problem));
    const std::vector<double> v = ToDoubles(problem.v());
    const double kept[] = {1.0, 0.97, 0.0};
    for (int64_t i = 0; i < kRecallDim; ++i) {
      EXPECT_NEAR(read[i],
                  kept[static_cast<int>(rule)] * v[i] + v[kRecallDim + i],
                  1e-12);
    }
  }
}

}  // namespace
}  // namespace longspan::kernels
