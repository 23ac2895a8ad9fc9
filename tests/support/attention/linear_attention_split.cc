#include "tests/support/attention/linear_attention_split.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"

namespace longspan::kernels {
namespace {

using Stage = LinearAttentionStage;

// Results of all ranges side by side, in tensors of the whole sequence.
class SplitRun {
 public:
  SplitRun(const LinearAttentionProblem& problem, LinearAttention& op,
           Stream& stream, BackendKind backend, std::vector<int64_t> cuts,
           Passes passes)
      : problem_(problem),
        op_(op),
        stream_(stream),
        backend_(backend),
        cuts_(std::move(cuts)),
        passes_(passes),
        ranges_(static_cast<int64_t>(cuts_.size()) - 1) {
    const LinearAttentionCase& c = problem.case_of();
    const DType dtype = problem.dtype();
    o_ = HostTensor(dtype, {c.batch, c.tokens, c.heads, c.value_dim});
    d_q_ = HostTensor(dtype, {c.batch, c.tokens, KeyHeads(c), c.key_dim});
    d_k_ = HostTensor(dtype, {c.batch, c.tokens, KeyHeads(c), c.key_dim});
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

  // Of states, decays and gates.
  DType sums() const {
    return problem_.dtype() == DType::kBF16 ? DType::kF32 : problem_.dtype();
  }
  HostTensor State() const {
    const LinearAttentionCase& c = problem_.case_of();
    return HostTensor(sums(), {c.batch, c.heads, c.key_dim, c.value_dim});
  }
  HostTensor States() const {
    const LinearAttentionCase& c = problem_.case_of();
    return HostTensor(sums(),
                      {ranges_, c.batch, c.heads, c.key_dim, c.value_dim});
  }
  int64_t WorkspaceBytes() const {
    int64_t bytes = 0;
    for (Stage stage : {Stage::kSummarise, Stage::kOutputs,
                        Stage::kSummariseBackward, Stage::kGradients}) {
      bytes = std::max(bytes, LinearAttentionWorkspaceBytes(
                                  stage, problem_.shape(), backend_, 1));
    }
    return 2 * bytes;  // a part may be cut finer than the whole
  }

  Range RangeOf(int64_t r) const {
    return problem_.Tokens(cuts_[r], cuts_[r + 1]);
  }
  static LinearAttentionInputs WithDocuments(const Range& range) {
    LinearAttentionInputs inputs = range.inputs;
    inputs.documents = {range.starts.data(),
                        static_cast<int64_t>(range.starts.size()),
                        range.starts.data()};
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
    LONGSPAN_CHECK_OK(op_.Summarise(
        inputs, problem_.SummaryOf(Entry(states_, r), Entry(decays_, r)),
        workspace_.view(), stream_));
    LONGSPAN_CHECK_OK(op_.SummariseBackward(
        inputs, range.d_o, Entry(d_states_, r), workspace_.view(), stream_));
  }

  // The state that enters range r.
  HostTensor Entering(int64_t r) {
    HostTensor state = State();
    LONGSPAN_CHECK_OK(op_.FoldSummaries(
        states_.view().Slice(0, 0, r), decays_.view().Slice(0, 0, r),
        problem_.initial_state(), false, state.view(), stream_));
    return state;
  }
  // The gradient of the state that leaves range r.
  HostTensor LeavingGradient(int64_t r) {
    HostTensor state = State();
    LONGSPAN_CHECK_OK(
        op_.FoldSummaries(d_states_.view().Slice(0, r + 1, ranges_),
                          decays_.view().Slice(0, r + 1, ranges_),
                          problem_.output_gradients().d_final_state, true,
                          state.view(), stream_));
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
      LONGSPAN_CHECK_OK(op_.Outputs(WithDocuments(range), entering.view(),
                                    terms, {Tokens(o_, r), final_state},
                                    workspace_.view(), stream_));
    }
  }

  void Backward(int64_t r) {
    const Range range = RangeOf(r);
    const HostTensor entering = Entering(r);
    const HostTensor leaving = LeavingGradient(r);
    const TensorView d_initial = r == 0 ? d_initial_.view() : TensorView();
    for (ChunkTerms terms : Terms()) {
      LONGSPAN_CHECK_OK(
          op_.Gradients(WithDocuments(range), entering.view(),
                        {range.d_o, leaving.view()}, terms,
                        {Tokens(d_q_, r), Tokens(d_k_, r), Tokens(d_v_, r),
                         Tokens(d_log_gate_, r), d_initial, Tokens(d_beta_, r)},
                        workspace_.view(), stream_));
    }
  }

  const LinearAttentionProblem& problem_;
  LinearAttention& op_;
  Stream& stream_;
  const BackendKind backend_;
  const std::vector<int64_t> cuts_;  // 0, ..., tokens
  const Passes passes_;
  const int64_t ranges_;
  HostTensor o_, d_q_, d_k_, d_v_, d_log_gate_, d_beta_;
  HostTensor states_, d_states_, decays_, final_state_, d_initial_;
  HostTensor workspace_;
};

}  // namespace

LinearAttentionResults RunInRanges(const LinearAttentionProblem& problem,
                                   LinearAttention& op, Stream& stream,
                                   BackendKind backend,
                                   const std::vector<int64_t>& cuts,
                                   Passes passes) {
  return SplitRun(problem, op, stream, backend, cuts, passes).Run();
}

}  // namespace longspan::kernels
