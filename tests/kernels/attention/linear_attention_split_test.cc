// A sequence cut into ranges that exchange summaries, as ranks do (LASP-2),
// equals the sequence in one piece: outputs, states, every gradient, and the
// gates' gradients at the cuts.
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

// Results of all ranges side by side, in tensors of the whole sequence.
class SplitRun {
 public:
  SplitRun(const LinearAttentionProblem& problem, LinearAttention& op,
           std::vector<int64_t> cuts, Passes passes)
      : problem_(problem),
        op_(op),
        cuts_(std::move(cuts)),
        passes_(passes),
        ranges_(static_cast<int64_t>(cuts_.size()) - 1) {
    const LinearAttentionCase& c = problem.case_of();
    const DType dtype = problem.dtype();
    o_ = HostTensor(dtype, {c.batch, c.tokens, c.heads, c.value_dim});
    d_q_ = HostTensor(dtype, {c.batch, c.tokens, c.heads, c.key_dim});
    d_k_ = HostTensor(dtype, {c.batch, c.tokens, c.heads, c.key_dim});
    d_v_ = HostTensor(dtype, {c.batch, c.tokens, c.heads, c.value_dim});
    d_log_gate_ = problem.LikeGates();
    d_beta_ = problem.LikeBeta();
    states_ = States();
    d_states_ = States();
    decays_ = problem.SummaryDecays(ranges_);
    final_state_ = State();
    d_initial_ = State();
    workspace_ = HostTensor::Workspace(WorkspaceBytes());
  }

  LinearAttentionResults Run() {
    for (int64_t r = 0; r < ranges_; ++r) Summarise(r);
    for (int64_t r = 0; r < ranges_; ++r) Forward(r);
    for (int64_t r = 0; r < ranges_; ++r) Backward(r);
    LinearAttentionResults results;
    results.o = o_.ToDoubles();
    results.final_state = final_state_.ToDoubles();
    results.d_q = d_q_.ToDoubles();
    results.d_k = d_k_.ToDoubles();
    results.d_v = d_v_.ToDoubles();
    results.d_log_gate = d_log_gate_.ToDoubles();
    results.d_beta = d_beta_.ToDoubles();
    results.d_initial_state = d_initial_.ToDoubles();
    return results;
  }

 private:
  using Range = LinearAttentionProblem::Range;

  HostTensor State() const {
    const LinearAttentionCase& c = problem_.case_of();
    return HostTensor(problem_.dtype(),
                      {c.batch, c.heads, c.key_dim, c.value_dim});
  }
  HostTensor States() const {
    const LinearAttentionCase& c = problem_.case_of();
    return HostTensor(problem_.dtype(),
                      {ranges_, c.batch, c.heads, c.key_dim, c.value_dim});
  }
  int64_t WorkspaceBytes() const {
    return LinearAttentionWorkspaceBytes(LinearAttentionStage::kGradients,
                                         problem_.shape(), BackendKind::kCpu,
                                         1) *
           2;
  }

  Range RangeOf(int64_t r) const {
    return problem_.Tokens(cuts_[r], cuts_[r + 1]);
  }
  static LinearAttentionInputs WithDocuments(const Range& range) {
    LinearAttentionInputs inputs = range.inputs;
    inputs.documents = {range.starts.data(),
                        static_cast<int64_t>(range.starts.size())};
    return inputs;
  }
  TensorView Tokens(const HostTensor& tensor, int64_t r) const {
    if (tensor.view().is_null()) return {};
    return tensor.view().Slice(1, cuts_[r], cuts_[r + 1]);
  }
  // Element r of dimension 0, without it.
  static TensorView Entry(const HostTensor& tensor, int64_t r) {
    return tensor.view().Select(0, r);
  }

  void Summarise(int64_t r) {
    const Range range = RangeOf(r);
    const LinearAttentionInputs inputs = WithDocuments(range);
    ASSERT_EQ(
        op_.Summarise(inputs,
                      problem_.SummaryOf(Entry(states_, r), Entry(decays_, r)),
                      workspace_.view(), stream_),
        absl::OkStatus());
    ASSERT_EQ(op_.SummariseBackward(inputs, range.d_o, Entry(d_states_, r),
                                    workspace_.view(), stream_),
              absl::OkStatus());
  }

  // The state that enters range r.
  HostTensor Entering(int64_t r) {
    HostTensor state = State();
    EXPECT_EQ(op_.FoldSummaries(
                  states_.view().Slice(0, 0, r), decays_.view().Slice(0, 0, r),
                  problem_.initial_state(), false, state.view(), stream_),
              absl::OkStatus());
    return state;
  }
  // The gradient of the state that leaves range r.
  HostTensor LeavingGradient(int64_t r) {
    HostTensor state = State();
    EXPECT_EQ(op_.FoldSummaries(d_states_.view().Slice(0, r + 1, ranges_),
                                decays_.view().Slice(0, r + 1, ranges_),
                                problem_.output_gradients().d_final_state, true,
                                state.view(), stream_),
              absl::OkStatus());
    return state;
  }

  std::vector<ChunkTerms> Terms() const {
    if (passes_ == Passes::kOne) return {ChunkTerms::kAll};
    return {ChunkTerms::kIntraChunk, ChunkTerms::kInterChunk};
  }

  void Forward(int64_t r) {
    const Range range = RangeOf(r);
    const HostTensor entering = Entering(r);
    const TensorView final_state =
        r + 1 == ranges_ ? final_state_.view() : TensorView();
    for (ChunkTerms terms : Terms()) {
      ASSERT_EQ(
          op_.Outputs(WithDocuments(range), entering.view(), terms,
                      {Tokens(o_, r), final_state}, workspace_.view(), stream_),
          absl::OkStatus());
    }
  }

  void Backward(int64_t r) {
    const Range range = RangeOf(r);
    const HostTensor entering = Entering(r);
    const HostTensor leaving = LeavingGradient(r);
    const TensorView d_initial = r == 0 ? d_initial_.view() : TensorView();
    for (ChunkTerms terms : Terms()) {
      ASSERT_EQ(
          op_.Gradients(WithDocuments(range), entering.view(),
                        {range.d_o, leaving.view()}, terms,
                        {Tokens(d_q_, r), Tokens(d_k_, r), Tokens(d_v_, r),
                         Tokens(d_log_gate_, r), d_initial, Tokens(d_beta_, r)},
                        workspace_.view(), stream_),
          absl::OkStatus());
    }
  }

  const LinearAttentionProblem& problem_;
  LinearAttention& op_;
  const std::vector<int64_t> cuts_;  // 0, ..., tokens
  const Passes passes_;
  const int64_t ranges_;
  CpuStream stream_{1};
  HostTensor o_, d_q_, d_k_, d_v_, d_log_gate_, d_beta_;
  HostTensor states_, d_states_, decays_, final_state_, d_initial_;
  HostTensor workspace_;
};

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
    for (Passes passes : {Passes::kOne, Passes::kTwo}) {
      SCOPED_TRACE(testing::PrintToString(cuts));
      ExpectSame(SplitRun(problem, *op, cuts, passes).Run(), whole);
    }
  }
}

std::vector<LinearAttentionCase> SmallCases() {
  std::vector<LinearAttentionCase> cases;
  for (const auto& all :
       {LinearAttentionCases(), VectorGateCases(), DenseCases()}) {
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

TEST(FoldSummaries, AgreesWithReferenceInBothDirections) {
  ExpectFoldsAgree(HostTensor(DType::kF64, {4, 2, 3}));
  ExpectFoldsAgree(HostTensor(DType::kF64, {4, 2, 3, 5}));
  ExpectFoldsAgree(HostTensor(DType::kF64, {4, 2, 3, 5, 5}));
}

}  // namespace
}  // namespace longspan::kernels
