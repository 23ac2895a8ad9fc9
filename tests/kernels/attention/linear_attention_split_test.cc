// A sequence cut into ranges that exchange summaries, as ranks do (LASP-2),
// equals the sequence in one piece: outputs, states, every gradient, and the
// gates' gradients at the cuts.
#include "tests/support/attention/linear_attention_split.h"

#include <cmath>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/cpu_stream.h"
#include "kernels/reference/reference_ops.h"
#include "tests/support/attention/linear_attention_cases.h"
#include "tests/support/attention/linear_attention_problem.h"

namespace longspan::kernels {
namespace {

// Cuts into 2, 3 and 4 uneven ranges, with a range of one token.
std::vector<std::vector<int64_t>> CutsOf(int64_t tokens) {
  std::vector<std::vector<int64_t>> cuts;
  const int64_t third = tokens / 3;
  if (tokens >= 2) cuts.push_back({0, 1, tokens});
  if (tokens >= 10) {
    cuts.push_back({0, tokens - 1, tokens});
    cuts.push_back({0, third, third + 1, tokens});
    cuts.push_back({0, third - 1, 2 * third, 2 * third + 2, tokens});
  }
  if (tokens > 128) cuts.push_back({0, 64, 128, tokens});
  return cuts;
}

// A range's passes do not know how many others there are: the cuts that have a
// range at each end and between them run both.
std::vector<Passes> PassesOf(const std::vector<int64_t>& cuts, int64_t tokens) {
  if (cuts.size() < 4 && tokens >= 10) return {Passes::kOne};
  return {Passes::kOne, Passes::kTwo};
}

void ExpectSame(const LinearAttentionResults& split,
                const LinearAttentionResults& whole) {
  constexpr double kTolerance = 1e-10;
  EXPECT_LE(RelativeRms(split.o, whole.o), kTolerance);
  EXPECT_LE(RelativeRms(split.final_state, whole.final_state), kTolerance);
  EXPECT_LE(RelativeRms(split.d_q, whole.d_q), kTolerance);
  EXPECT_LE(RelativeRms(split.d_k, whole.d_k), kTolerance);
  EXPECT_LE(RelativeRms(split.d_v, whole.d_v), kTolerance);
  EXPECT_LE(RelativeRms(split.d_initial_state, whole.d_initial_state),
            kTolerance);
  EXPECT_LE(RelativeRms(split.d_beta, whole.d_beta), kTolerance);
  // Token by token: a wrong border term hides in an average. Relative to the
  // largest, because strong gates have gradients far below their terms.
  ASSERT_EQ(split.d_log_gate.size(), whole.d_log_gate.size());
  double largest = 1.0;
  for (double x : whole.d_log_gate) largest = std::max(largest, std::fabs(x));
  for (size_t i = 0; i < whole.d_log_gate.size(); ++i) {
    EXPECT_NEAR(split.d_log_gate[i], whole.d_log_gate[i], kTolerance * largest)
        << "gate " << i;
  }
}

class LinearAttentionSplit
    : public testing::TestWithParam<LinearAttentionCase> {};

TEST_P(LinearAttentionSplit, RangesEqualOnePiece) {
  const LinearAttentionProblem problem(GetParam(), DType::kF64);
  const auto op = CreateCpuLinearAttention();
  CpuStream stream(1);
  const LinearAttentionResults whole =
      problem.Run(*op, stream, BackendKind::kCpu, 1, Passes::kOne);
  for (const std::vector<int64_t>& cuts : CutsOf(GetParam().tokens)) {
    for (Passes passes : PassesOf(cuts, GetParam().tokens)) {
      SCOPED_TRACE(testing::PrintToString(cuts));
      ExpectSame(
          RunInRanges(problem, *op, stream, BackendKind::kCpu, cuts, passes),
          whole);
    }
  }
}

std::vector<LinearAttentionCase> SmallCases() {
  std::vector<LinearAttentionCase> cases;
  for (const auto& all : {LinearAttentionCases(), VectorGateCases(),
                          DenseCases(), SharedKeyCases()}) {
    for (const LinearAttentionCase& c : all) {
      if (c.tokens <= 211 && c.key_dim <= 32) cases.push_back(c);
    }
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(
    Cases, LinearAttentionSplit, testing::ValuesIn(SmallCases()),
    [](const testing::TestParamInfo<LinearAttentionCase>& info) {
      return info.param.name;
    });

// Two ranges one after the other, the state carried from one to the next, as
// spans are processed: cut at a multiple of the chunk, no bit differs.
LinearAttentionResults RunInTwo(const LinearAttentionProblem& problem,
                                LinearAttention& op, int64_t cut) {
  const LinearAttentionCase& c = problem.case_of();
  const DType dtype = problem.dtype();
  CpuStream stream(1);
  const auto tokens = [&](int64_t dim) {
    return HostTensor(dtype, {c.batch, c.tokens, c.heads, dim});
  };
  const auto state = [&] {
    return HostTensor(dtype, {c.batch, c.heads, c.key_dim, c.value_dim});
  };
  const HostTensor o = tokens(c.value_dim), d_q = tokens(c.key_dim),
                   d_k = tokens(c.key_dim), d_v = tokens(c.value_dim),
                   d_log_gate = problem.LikeGates(),
                   d_beta = problem.LikeBeta(), middle = state(),
                   final_state = state(), d_middle = state(),
                   d_initial = state();
  const HostTensor workspace = HostTensor::Workspace(
      2 * LinearAttentionWorkspaceBytes(LinearAttentionStage::kGradients,
                                        problem.shape(), BackendKind::kCpu, 1));
  const auto slice = [](const HostTensor& tensor, int64_t begin, int64_t end) {
    const TensorView view = tensor.view();
    return view.is_null() ? view : view.Slice(1, begin, end);
  };
  const auto forward = [&](int64_t begin, int64_t end, ConstTensorView entering,
                           const TensorView& leaving) {
    EXPECT_EQ(op.Outputs(problem.Tokens(begin, end).inputs, entering,
                         ChunkTerms::kAll, {slice(o, begin, end), leaving},
                         workspace.view(), stream),
              absl::OkStatus());
  };
  const auto backward = [&](int64_t begin, int64_t end,
                            ConstTensorView entering, ConstTensorView d_leaving,
                            const TensorView& d_entering) {
    const auto range = problem.Tokens(begin, end);
    EXPECT_EQ(
        op.Gradients(range.inputs, entering, {range.d_o, d_leaving},
                     ChunkTerms::kAll,
                     {slice(d_q, begin, end), slice(d_k, begin, end),
                      slice(d_v, begin, end), slice(d_log_gate, begin, end),
                      d_entering, slice(d_beta, begin, end)},
                     workspace.view(), stream),
        absl::OkStatus());
  };
  forward(0, cut, problem.initial_state(), middle.view());
  forward(cut, c.tokens, middle.view(), final_state.view());
  backward(cut, c.tokens, middle.view(),
           problem.output_gradients().d_final_state, d_middle.view());
  backward(0, cut, problem.initial_state(), d_middle.view(), d_initial.view());
  LinearAttentionResults results;
  results.o = o.ToDoubles();
  results.final_state = final_state.ToDoubles();
  results.d_q = d_q.ToDoubles();
  results.d_k = d_k.ToDoubles();
  results.d_v = d_v.ToDoubles();
  results.d_log_gate = d_log_gate.ToDoubles();
  results.d_beta = d_beta.ToDoubles();
  results.d_initial_state = d_initial.ToDoubles();
  return results;
}

class LinearAttentionCarry : public testing::TestWithParam<Transition> {};

TEST_P(LinearAttentionCarry, CutAtAChunkChangesNoBit) {
  LinearAttentionCase c;
  c.tokens = 200;
  c.heads = 2;
  c.key_dim = 24;
  c.value_dim = 40;
  c.transition = GetParam();
  c.dense_decay = Transition::kVector;
  const auto op = CreateCpuLinearAttention();
  CpuStream stream(1);
  for (DType dtype : {DType::kF32, DType::kF64}) {
    const LinearAttentionProblem problem(c, dtype);
    const LinearAttentionResults whole =
        problem.Run(*op, stream, BackendKind::kCpu, 1, Passes::kOne);
    for (int64_t cut : {64, 128, 192}) {
      const LinearAttentionResults carried = RunInTwo(problem, *op, cut);
      EXPECT_EQ(carried.o, whole.o);
      EXPECT_EQ(carried.final_state, whole.final_state);
      EXPECT_EQ(carried.d_q, whole.d_q);
      EXPECT_EQ(carried.d_k, whole.d_k);
      EXPECT_EQ(carried.d_v, whole.d_v);
      EXPECT_EQ(carried.d_log_gate, whole.d_log_gate);
      EXPECT_EQ(carried.d_beta, whole.d_beta);
      EXPECT_EQ(carried.d_initial_state, whole.d_initial_state);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Transitions, LinearAttentionCarry,
                         testing::Values(Transition::kIdentity,
                                         Transition::kConstant,
                                         Transition::kScalar,
                                         Transition::kVector,
                                         Transition::kDense));

TEST(FoldSummaries, OfNothingIsTheInitialState) {
  CpuStream stream(1);
  for (DType dtype : {DType::kF32, DType::kF64}) {
    HostTensor initial(dtype, {2, 3, 4, 5});
    HostTensor state(dtype, {2, 3, 4, 5});
    FillUniform(1, -1.0, 1.0, initial.view());
    for (auto& op :
         {CreateCpuLinearAttention(), CreateReferenceLinearAttention()}) {
      ASSERT_EQ(op->FoldSummaries({}, {}, initial.view(), false, state.view(),
                                  stream),
                absl::OkStatus());
      EXPECT_EQ(state.ToDoubles(), initial.ToDoubles());
      ASSERT_EQ(op->FoldSummaries({}, {}, {}, false, state.view(), stream),
                absl::OkStatus());
      EXPECT_EQ(Rms(state.ToDoubles()), 0.0);
    }
  }
}

void ExpectFoldsAgree(const HostTensor& decays) {
  CpuStream stream(2);
  HostTensor states(DType::kF64, {4, 2, 3, 5, 6});
  FillUniform(1, -1.0, 1.0, states.view());
  FillUniform(2, -2.0, 0.0, decays.view());
  if (decays.view().rank() < 5) {
    decays.view().data_as<double>()[7] = -INFINITY;  // a document starts here
  }
  for (bool reverse : {false, true}) {
    HostTensor actual(DType::kF64, {2, 3, 5, 6});
    HostTensor expected(DType::kF64, {2, 3, 5, 6});
    ASSERT_EQ(
        CreateCpuLinearAttention()->FoldSummaries(
            states.view(), decays.view(), {}, reverse, actual.view(), stream),
        absl::OkStatus());
    ASSERT_EQ(
        CreateReferenceLinearAttention()->FoldSummaries(
            states.view(), decays.view(), {}, reverse, expected.view(), stream),
        absl::OkStatus());
    EXPECT_LE(RelativeRms(actual.ToDoubles(), expected.ToDoubles()), 1e-14);
  }
}

// One summary after the other, in the memory of the initial state.
void ExpectFoldsInPlace(const HostTensor& decays) {
  CpuStream stream(2);
  HostTensor states(DType::kF64, {4, 2, 3, 5, 6});
  HostTensor whole(DType::kF64, {2, 3, 5, 6});
  HostTensor state(DType::kF64, {2, 3, 5, 6});
  FillUniform(1, -1.0, 1.0, states.view());
  FillUniform(2, -2.0, 0.0, decays.view());
  for (auto& op :
       {CreateCpuLinearAttention(), CreateReferenceLinearAttention()}) {
    FillUniform(3, -1.0, 1.0, state.view());
    ASSERT_EQ(op->FoldSummaries(states.view(), decays.view(), state.view(),
                                false, whole.view(), stream),
              absl::OkStatus());
    for (int64_t i = 0; i < 4; ++i) {
      ASSERT_EQ(op->FoldSummaries(states.view().Slice(0, i, i + 1),
                                  decays.view().Slice(0, i, i + 1),
                                  state.view(), false, state.view(), stream),
                absl::OkStatus());
    }
    EXPECT_EQ(state.ToDoubles(), whole.ToDoubles());
  }
}

TEST(FoldSummaries, MayGoOnInPlace) {
  ExpectFoldsInPlace(HostTensor(DType::kF64, {4, 2, 3}));
  ExpectFoldsInPlace(HostTensor(DType::kF64, {4, 2, 3, 5}));
  ExpectFoldsInPlace(HostTensor(DType::kF64, {4, 2, 3, 5, 5}));
}

TEST(FoldSummaries, AgreesWithReferenceInBothDirections) {
  ExpectFoldsAgree(HostTensor(DType::kF64, {4, 2, 3}));
  ExpectFoldsAgree(HostTensor(DType::kF64, {4, 2, 3, 5}));
  ExpectFoldsAgree(HostTensor(DType::kF64, {4, 2, 3, 5, 5}));
}

}  // namespace
}  // namespace longspan::kernels
