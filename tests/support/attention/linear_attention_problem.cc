#include "tests/support/attention/linear_attention_problem.h"

#include <algorithm>
#include <cmath>

#include "common/base/check.h"
#include "kernels/api/linear_attention_operands.h"

namespace longspan::kernels {
namespace {

using Stage = LinearAttentionStage;

HostTensor Uniform(uint64_t seed, double low, double high, DType dtype,
                   std::initializer_list<int64_t> shape) {
  HostTensor tensor(dtype, shape);
  FillUniform(seed, low, high, tensor.view());
  return tensor;
}

// Log gate of head h at token t, given a uniform sample in (0, 1).
double GateValue(Gates gates, int64_t t, int64_t h, double sample) {
  switch (gates) {
    case Gates::kMild:
      return -0.3 * sample;
    case Gates::kStrong:
      return -20.0;
    case Gates::kZero:
      return 0.0;
    case Gates::kPerHead:
      return h == 0 ? 0.0 : -10.0;
    case Gates::kClosed:
      return t % 7 == 3 ? -INFINITY : -0.1 * sample;
  }
  return 0.0;
}

// Fills [B, T, H] (or [H], with one token), or [B, T, H, width]. The channels
// of a token differ, and so do their closed ones.
void FillGates(Gates gates, int64_t tokens, int64_t heads, int64_t width,
               const TensorView& view) {
  FillUniform(5, 0.0, 1.0, view);
  std::vector<double> values = ToDoubles(view);
  for (size_t i = 0; i < values.size(); ++i) {
    const int64_t c = i % width;
    const int64_t h = i / width % heads;
    const int64_t t = i / width / heads % tokens;
    values[i] = GateValue(gates, t + 3 * c, h, values[i]);
  }
  FromDoubles(values, view);
}

// Rows of length 1, so that the delta rule is stable.
void NormaliseRows(const TensorView& view) {
  std::vector<double> values = ToDoubles(view);
  const int64_t size = view.size(3);
  for (size_t row = 0; row < values.size(); row += size) {
    double sum = 0.0;
    for (int64_t c = 0; c < size; ++c) sum += values[row + c] * values[row + c];
    for (int64_t c = 0; c < size; ++c) values[row + c] /= std::sqrt(sum);
  }
  FromDoubles(values, view);
}

}  // namespace

LinearAttentionProblem::LinearAttentionProblem(const LinearAttentionCase& c,
                                               DType dtype, uint64_t seed)
    : case_(c),
      dtype_(dtype),
      sum_dtype_(dtype == DType::kBF16 ? DType::kF32 : dtype) {
  const int64_t key_heads = KeyHeads(c);
  const int64_t key_width = key_heads * c.key_dim;
  const int64_t value_width = c.heads * c.value_dim;
  if (c.fused_projection) {
    const int64_t width = 2 * key_width + value_width;
    fused_ = HostTensor(dtype, {c.batch, c.tokens, width});
    const TensorView& all = fused_.view();
    q_ = all.Slice(2, 0, key_width).SplitLast(key_heads);
    k_ = all.Slice(2, key_width, 2 * key_width).SplitLast(key_heads);
    v_ = all.Slice(2, 2 * key_width, width).SplitLast(c.heads);
  } else {
    q_buffer_ = HostTensor(dtype, {c.batch, c.tokens, key_heads, c.key_dim});
    k_buffer_ = HostTensor(dtype, {c.batch, c.tokens, key_heads, c.key_dim});
    v_buffer_ = HostTensor(dtype, {c.batch, c.tokens, c.heads, c.value_dim});
    q_ = q_buffer_.view();
    k_ = k_buffer_.view();
    v_ = v_buffer_.view();
  }
  FillUniform(seed * 16 + 1, -1.0, 1.0, q_);
  FillUniform(seed * 16 + 2, -1.0, 1.0, k_);
  FillUniform(seed * 16 + 3, -1.0, 1.0, v_);
  d_o_ = Uniform(seed * 16 + 4, -1.0, 1.0, dtype,
                 {c.batch, c.tokens, c.heads, c.value_dim});
  if (c.has_initial_state) {
    initial_state_ = Uniform(seed * 16 + 5, -1.0, 1.0, sum_dtype_,
                             {c.batch, c.heads, c.key_dim, c.value_dim});
  }
  if (c.has_final_gradient) {
    d_final_state_ = Uniform(seed * 16 + 6, -1.0, 1.0, sum_dtype_,
                             {c.batch, c.heads, c.key_dim, c.value_dim});
  }
  if (GateWidth(c) > 0) {
    log_gate_ = LikeGates();
    FillGates(c.gates, c.tokens, c.heads, GateWidth(c), log_gate_.view());
  }
  if (c.transition == Transition::kDense) {
    NormaliseRows(k_);
    beta_ = LikeBeta();
    FillUniform(seed * 16 + 7, 0.0, 1.0, beta_.view());
  }
  if (c.transition == Transition::kConstant) {
    log_decay_ = HostTensor(sum_dtype_, {c.heads});
    FillGates(c.gates, 1, c.heads, 1, log_decay_.view());
  }
  inputs_ = {c.transition,
             1.0 / std::sqrt(static_cast<double>(c.key_dim)),
             q_,
             k_,
             v_,
             log_gate_.view(),
             log_decay_.view(),
             beta_.view(),
             {case_.document_starts.data(),
              static_cast<int64_t>(case_.document_starts.size()),
              case_.document_starts.data()}};
}

LinearAttentionProblem::Range LinearAttentionProblem::Tokens(
    int64_t begin, int64_t end) const {
  Range range;
  range.inputs = inputs_;
  range.inputs.q = inputs_.q.Slice(1, begin, end);
  range.inputs.k = inputs_.k.Slice(1, begin, end);
  range.inputs.v = inputs_.v.Slice(1, begin, end);
  if (!inputs_.log_gate.is_null()) {
    range.inputs.log_gate = inputs_.log_gate.Slice(1, begin, end);
  }
  if (!inputs_.beta.is_null()) {
    range.inputs.beta = inputs_.beta.Slice(1, begin, end);
  }
  range.d_o = ConstTensorView(d_o_.view()).Slice(1, begin, end);
  for (int64_t start : case_.document_starts) {
    if (begin <= start && start < end) range.starts.push_back(start - begin);
  }
  range.inputs.documents = {};
  return range;
}

LinearAttentionOutputGradients LinearAttentionProblem::output_gradients()
    const {
  return {d_o_.view(), d_final_state_.view()};
}

LinearAttentionShape LinearAttentionProblem::shape() const {
  LinearAttentionShape shape = {case_.batch,     case_.tokens,
                                case_.heads,     case_.key_dim,
                                case_.value_dim, BytesPerElement(dtype_)};
  shape.key_heads = case_.key_heads;
  if (case_.transition == Transition::kVector) {
    shape.decay = LinearAttentionDecay::kChannel;
  } else if (case_.transition == Transition::kDense) {
    shape.decay = LinearAttentionDecay::kMatrix;
  }
  return shape;
}

HostTensor LinearAttentionProblem::LikeGates() const {
  const LinearAttentionCase& c = case_;
  const int64_t width = GateWidth(c);
  if (width == 0) return {};
  const Transition decay =
      c.transition == Transition::kDense ? c.dense_decay : c.transition;
  if (decay == Transition::kScalar) {
    return HostTensor(sum_dtype_, {c.batch, c.tokens, c.heads});
  }
  return HostTensor(sum_dtype_, {c.batch, c.tokens, c.heads, width});
}

HostTensor LinearAttentionProblem::LikeBeta() const {
  const LinearAttentionCase& c = case_;
  if (c.transition != Transition::kDense) return {};
  return HostTensor(sum_dtype_, {c.batch, c.tokens, c.heads});
}

HostTensor LinearAttentionProblem::LikeSnapshots() const {
  const LinearAttentionCase& c = case_;
  const int64_t count = SnapshotCount(c.tokens, c.snapshot_interval);
  if (count == 0) return {};
  return HostTensor(sum_dtype_,
                    {c.batch, count, c.heads, c.key_dim, c.value_dim});
}

HostTensor LinearAttentionProblem::SummaryDecays(int64_t ranges) const {
  const LinearAttentionCase& c = case_;
  if (c.transition == Transition::kDense) {
    return HostTensor(sum_dtype_,
                      {ranges, c.batch, c.heads, c.key_dim, c.key_dim});
  }
  if (c.transition == Transition::kVector) {
    return HostTensor(sum_dtype_, {ranges, c.batch, c.heads, c.key_dim});
  }
  return HostTensor(sum_dtype_, {ranges, c.batch, c.heads});
}

LinearAttentionSummary LinearAttentionProblem::SummaryOf(
    const TensorView& state, const TensorView& decay) const {
  if (case_.transition == Transition::kDense) return {state, {}, decay};
  return {state, decay, {}};
}

void LinearAttentionProblem::AddSummary(LinearAttention& op, Stream& stream,
                                        BackendKind backend, int threads,
                                        LinearAttentionResults& results) const {
  const LinearAttentionCase& c = case_;
  HostTensor state(sum_dtype_, {c.batch, c.heads, c.key_dim, c.value_dim});
  HostTensor decay = SummaryDecays(1);
  const HostTensor workspace =
      HostTensor::Workspace(LinearAttentionWorkspaceBytes(
          Stage::kSummarise, shape(), backend, threads));
  LONGSPAN_CHECK_OK(
      op.Summarise(inputs_, SummaryOf(state.view(), decay.view().Select(0, 0)),
                   workspace.view(), stream));
  results.summary_state = state.ToDoubles();
  (c.transition == Transition::kDense ? results.summary_transition
                                      : results.summary_log_decay) =
      decay.ToDoubles();
}

void LinearAttentionProblem::AddOutputs(LinearAttention& op, Stream& stream,
                                        BackendKind backend, int threads,
                                        Passes passes,
                                        LinearAttentionResults& results) const {
  const LinearAttentionCase& c = case_;
  HostTensor o(dtype_, {c.batch, c.tokens, c.heads, c.value_dim});
  HostTensor final_state(sum_dtype_,
                         {c.batch, c.heads, c.key_dim, c.value_dim});
  const HostTensor prefix_states = LikeSnapshots();
  const HostTensor workspace =
      HostTensor::Workspace(LinearAttentionWorkspaceBytes(
          Stage::kOutputs, shape(), backend, threads));
  const auto run = [&](ChunkTerms terms) {
    LONGSPAN_CHECK_OK(op.Outputs(inputs_, initial_state(), terms,
                                 {o.view(), final_state.view(),
                                  prefix_states.view(), c.snapshot_interval},
                                 workspace.view(), stream));
  };
  if (passes == Passes::kOne) {
    run(ChunkTerms::kAll);
  } else {
    run(ChunkTerms::kIntraChunk);
    run(ChunkTerms::kInterChunk);
  }
  results.o = o.ToDoubles();
  results.final_state = final_state.ToDoubles();
  results.prefix_states = prefix_states.ToDoubles();
}

void LinearAttentionProblem::AddBackward(
    LinearAttention& op, Stream& stream, BackendKind backend, int threads,
    Passes passes, LinearAttentionResults& results) const {
  const LinearAttentionCase& c = case_;
  HostTensor d_state(sum_dtype_, {c.batch, c.heads, c.key_dim, c.value_dim});
  HostTensor workspace = HostTensor::Workspace(LinearAttentionWorkspaceBytes(
      Stage::kSummariseBackward, shape(), backend, threads));
  LONGSPAN_CHECK_OK(op.SummariseBackward(inputs_, d_o_.view(), d_state.view(),
                                         workspace.view(), stream));
  results.d_summary_state = d_state.ToDoubles();

  HostTensor d_q(dtype_, {c.batch, c.tokens, KeyHeads(c), c.key_dim});
  HostTensor d_k(dtype_, {c.batch, c.tokens, KeyHeads(c), c.key_dim});
  HostTensor d_v(dtype_, {c.batch, c.tokens, c.heads, c.value_dim});
  HostTensor d_log_gate = LikeGates();
  HostTensor d_beta = LikeBeta();
  HostTensor d_initial =
      HostTensor(sum_dtype_, {c.batch, c.heads, c.key_dim, c.value_dim});
  workspace = HostTensor::Workspace(LinearAttentionWorkspaceBytes(
      Stage::kGradients, shape(), backend, threads));
  const auto run = [&](ChunkTerms terms) {
    LONGSPAN_CHECK_OK(
        op.Gradients(inputs_, initial_state(), output_gradients(), terms,
                     {d_q.view(), d_k.view(), d_v.view(), d_log_gate.view(),
                      d_initial.view(), d_beta.view()},
                     workspace.view(), stream));
  };
  if (passes == Passes::kOne) {
    run(ChunkTerms::kAll);
  } else {
    run(ChunkTerms::kIntraChunk);
    run(ChunkTerms::kInterChunk);
  }
  results.d_q = d_q.ToDoubles();
  results.d_k = d_k.ToDoubles();
  results.d_v = d_v.ToDoubles();
  results.d_log_gate = d_log_gate.ToDoubles();
  results.d_beta = d_beta.ToDoubles();
  results.d_initial_state = d_initial.ToDoubles();
}

LinearAttentionResults LinearAttentionProblem::RunOutputs(LinearAttention& op,
                                                          Stream& stream,
                                                          BackendKind backend,
                                                          int threads) const {
  LinearAttentionResults results;
  AddOutputs(op, stream, backend, threads, Passes::kOne, results);
  return results;
}

LinearAttentionResults LinearAttentionProblem::Run(LinearAttention& op,
                                                   Stream& stream,
                                                   BackendKind backend,
                                                   int threads,
                                                   Passes passes) const {
  LinearAttentionResults results;
  AddSummary(op, stream, backend, threads, results);
  AddOutputs(op, stream, backend, threads, passes, results);
  AddBackward(op, stream, backend, threads, passes, results);
  return results;
}

}  // namespace longspan::kernels
