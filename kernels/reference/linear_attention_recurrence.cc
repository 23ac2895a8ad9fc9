#include "kernels/reference/linear_attention_recurrence.h"

#include <algorithm>
#include <cmath>

#include "kernels/reference/element_access.h"

namespace longspan::kernels {
namespace {

int64_t GateWidth(const LinearAttentionInputs& inputs, int64_t key_dim) {
  const bool dense = inputs.transition == Transition::kDense;
  if (!HasGates(inputs.transition) && !dense) return 0;
  if (inputs.log_gate.is_null()) return 0;
  return inputs.log_gate.rank() == 4 ? key_dim : 1;
}

}  // namespace

ReferenceState ReferenceState::Load(const LinearAttentionSizes& sizes,
                                    const ConstTensorView& view, int64_t b,
                                    int64_t h) {
  ReferenceState state(sizes);
  if (view.is_null()) return state;
  for (int64_t c = 0; c < state.rows; ++c) {
    for (int64_t e = 0; e < state.cols; ++e) {
      state.at(c, e) = Get(view, b, h, c, e);
    }
  }
  return state;
}

void ReferenceState::Store(const TensorView& view, int64_t b, int64_t h) const {
  if (view.is_null()) return;
  for (int64_t c = 0; c < rows; ++c) {
    for (int64_t e = 0; e < cols; ++e) Set(view, at(c, e), b, h, c, e);
  }
}

void ReferenceState::StoreSnapshot(const TensorView& view, int64_t b, int64_t p,
                                   int64_t h) const {
  for (int64_t c = 0; c < rows; ++c) {
    for (int64_t e = 0; e < cols; ++e) Set(view, at(c, e), b, p, h, c, e);
  }
}

void ReferenceState::AddOuter(double factor, const double* x, const double* y) {
  for (int64_t c = 0; c < rows; ++c) {
    double* to = row(c);
    for (int64_t e = 0; e < cols; ++e) to[e] += factor * x[c] * y[e];
  }
}

void ReferenceState::ScaleRow(int64_t c, double factor) {
  double* to = row(c);
  for (int64_t e = 0; e < cols; ++e) to[e] *= factor;
}

void ReferenceState::Clear() { std::fill(data.begin(), data.end(), 0.0); }

ReferenceTokens::ReferenceTokens(const ConstTensorView& view, int64_t b,
                                 int64_t h) {
  if (view.is_null()) return;
  const bool scalar = view.rank() == 3;
  cols_ = scalar ? 1 : view.size(3);
  data_.reserve(view.size(1) * cols_);
  for (int64_t t = 0; t < view.size(1); ++t) {
    for (int64_t c = 0; c < cols_; ++c) {
      data_.push_back(scalar ? Get(view, b, t, h) : Get(view, b, t, h, c));
    }
  }
}

ReferenceRecurrence::ReferenceRecurrence(const LinearAttentionInputs& inputs,
                                         const LinearAttentionSizes& sizes,
                                         int64_t b, int64_t h)
    : inputs_(inputs),
      sizes_(sizes),
      h_(h),
      gate_width_(GateWidth(inputs, sizes.key_dim)),
      q_(inputs.q, b, sizes.KeyHeadOf(h)),
      k_(inputs.k, b, sizes.KeyHeadOf(h)),
      v_(inputs.v, b, h),
      log_gate_(gate_width_ > 0 ? inputs.log_gate : ConstTensorView(), b, h),
      beta_(dense() ? inputs.beta : ConstTensorView(), b, h) {}

double ReferenceRecurrence::log_decay(int64_t t, int64_t c) const {
  if (inputs_.transition == Transition::kConstant) {
    return Get(inputs_.log_decay, h_);
  }
  if (gate_width_ == 0) return 0.0;
  return log_gate_.row(t)[gate_width_ == 1 ? 0 : c];
}

bool ReferenceRecurrence::StartsDocument(int64_t t) const {
  const Documents& documents = inputs_.documents;
  return std::binary_search(documents.starts,
                            documents.starts + documents.count, t);
}

double ReferenceRecurrence::Decay(int64_t t, int64_t c) const {
  return std::exp(log_decay(t, c));
}

void ReferenceRecurrence::ApplyDecay(int64_t t, ReferenceState& state) const {
  if (StartsDocument(t)) return state.Clear();
  for (int64_t c = 0; c < state.rows; ++c) state.ScaleRow(c, Decay(t, c));
}

std::vector<double> ReferenceRecurrence::Read(
    int64_t t, const ReferenceState& state) const {
  std::vector<double> read(state.cols, 0.0);
  double* sums = read.data();
  for (int64_t c = 0; c < state.rows; ++c) {
    const double* row = state.row(c);
    const double key = k_.row(t)[c];
    for (int64_t e = 0; e < state.cols; ++e) sums[e] += key * row[e];
  }
  return read;
}

std::vector<double> ReferenceRecurrence::Written(
    int64_t t, const ReferenceState& decayed) const {
  std::vector<double> written(v_.row(t), v_.row(t) + sizes_.value_dim);
  if (!dense()) return written;
  const std::vector<double> read = Read(t, decayed);
  for (int64_t e = 0; e < sizes_.value_dim; ++e) {
    written[e] = *beta_.row(t) * (written[e] - read[e]);
  }
  return written;
}

void ReferenceRecurrence::Advance(int64_t t, ReferenceState& state) const {
  ApplyDecay(t, state);
  state.AddOuter(1.0, k_.row(t), Written(t, state).data());
}

double ReferenceRecurrence::Output(int64_t t, int64_t e,
                                   const ReferenceState& state) const {
  double sum = 0.0;
  for (int64_t c = 0; c < state.rows; ++c) sum += q(t)[c] * state.at(c, e);
  return inputs_.scale * sum;
}

ReferenceState ReferenceRecurrence::DecayedGradient(
    int64_t t, const ReferenceState& d_state) const {
  ReferenceState d_decayed = d_state;
  if (dense()) {
    d_decayed.AddOuter(-*beta_.row(t), k_.row(t), Read(t, d_state).data());
  }
  return d_decayed;
}

void ReferenceRecurrence::Retreat(int64_t t, ReferenceState& d_state) const {
  d_state = DecayedGradient(t, d_state);
  ApplyDecay(t, d_state);
}

void ReferenceRecurrence::AddWriteGradients(
    int64_t t, const std::vector<double>& written,
    const ReferenceState& d_state, ReferenceGradients& gradients) const {
  double* d_k = &gradients.d_k[t * sizes_.key_dim];
  const double* writes = written.data();
  for (int64_t c = 0; c < d_state.rows; ++c) {
    const double* row = d_state.row(c);
    for (int64_t e = 0; e < d_state.cols; ++e) d_k[c] += row[e] * writes[e];
  }
  const std::vector<double> d_written = Read(t, d_state);
  double* d_v = &gradients.d_v[t * sizes_.value_dim];
  const double factor = dense() ? *beta_.row(t) : 1.0;
  for (int64_t e = 0; e < d_state.cols; ++e) d_v[e] += factor * d_written[e];
}

void ReferenceRecurrence::AddDeltaGradients(
    int64_t t, const ReferenceState& decayed,
    const std::vector<double>& d_written, ReferenceGradients& gradients) const {
  double* d_k = &gradients.d_k[t * sizes_.key_dim];
  const std::vector<double> read = Read(t, decayed);
  for (int64_t e = 0; e < decayed.cols; ++e) {
    gradients.d_beta[t] += d_written[e] * (v_.row(t)[e] - read[e]);
  }
  const double beta = *beta_.row(t);
  const double* d_writes = d_written.data();
  for (int64_t c = 0; c < decayed.rows; ++c) {
    const double* row = decayed.row(c);
    for (int64_t e = 0; e < decayed.cols; ++e) {
      d_k[c] -= beta * d_writes[e] * row[e];
    }
  }
}

void ReferenceRecurrence::AddGateGradients(
    int64_t t, const ReferenceState& decayed, const ReferenceState& d_decayed,
    ReferenceGradients& gradients) const {
  if (gate_width_ == 0) return;
  // The decayed state is a_t S_{t-1}, so d/dlog a_t is the product of it and
  // its gradient, by rows.
  double* d_log_gate = &gradients.d_log_gate[t * gate_width_];
  for (int64_t c = 0; c < decayed.rows; ++c) {
    const double* row = decayed.row(c);
    const double* d_row = d_decayed.row(c);
    double* to = d_log_gate + (gate_width_ == 1 ? 0 : c);
    for (int64_t e = 0; e < decayed.cols; ++e) *to += row[e] * d_row[e];
  }
}

void ReferenceRecurrence::AddTokenGradients(
    int64_t t, const ReferenceState& before, const ReferenceState& d_state,
    ReferenceGradients& gradients) const {
  ReferenceState decayed = before;
  ApplyDecay(t, decayed);  // zero where a document starts
  AddWriteGradients(t, Written(t, decayed), d_state, gradients);
  if (dense()) AddDeltaGradients(t, decayed, Read(t, d_state), gradients);
  AddGateGradients(t, decayed, DecayedGradient(t, d_state), gradients);
}

}  // namespace longspan::kernels
