#include "kernels/reference/linear_attention_recurrence.h"

#include <algorithm>
#include <cmath>

#include "kernels/reference/element_access.h"

namespace longspan::kernels {
namespace {

int64_t GateWidth(Transition transition, int64_t key_dim) {
  if (transition == Transition::kScalar) return 1;
  return transition == Transition::kVector ? key_dim : 0;
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

void ReferenceState::AddOuter(double factor, const double* x, const double* y) {
  for (int64_t c = 0; c < rows; ++c) {
    for (int64_t e = 0; e < cols; ++e) at(c, e) += factor * x[c] * y[e];
  }
}

void ReferenceState::ScaleRow(int64_t c, double factor) {
  for (int64_t e = 0; e < cols; ++e) at(c, e) *= factor;
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
      gate_width_(GateWidth(inputs.transition, sizes.key_dim)),
      q_(inputs.q, b, h),
      k_(inputs.k, b, h),
      v_(inputs.v, b, h),
      log_gate_(gate_width_ > 0 ? inputs.log_gate : ConstTensorView(), b, h) {}

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

void ReferenceRecurrence::Advance(int64_t t, ReferenceState& state) const {
  if (StartsDocument(t)) {
    state.Clear();
  } else {
    for (int64_t c = 0; c < state.rows; ++c) state.ScaleRow(c, Decay(t, c));
  }
  state.AddOuter(1.0, k_.row(t), v_.row(t));
}

double ReferenceRecurrence::Output(int64_t t, int64_t e,
                                   const ReferenceState& state) const {
  double sum = 0.0;
  for (int64_t c = 0; c < state.rows; ++c) sum += q(t)[c] * state.at(c, e);
  return inputs_.scale * sum;
}

void ReferenceRecurrence::Retreat(int64_t t, ReferenceState& d_state) const {
  if (StartsDocument(t)) return d_state.Clear();
  for (int64_t c = 0; c < d_state.rows; ++c) d_state.ScaleRow(c, Decay(t, c));
}

void ReferenceRecurrence::AddKeyValueGradients(
    int64_t t, const ReferenceState& d_state,
    ReferenceGradients& gradients) const {
  double* d_k = &gradients.d_k[t * sizes_.key_dim];
  double* d_v = &gradients.d_v[t * sizes_.value_dim];
  for (int64_t c = 0; c < d_state.rows; ++c) {
    for (int64_t e = 0; e < d_state.cols; ++e) {
      d_k[c] += d_state.at(c, e) * v_.row(t)[e];
      d_v[e] += d_state.at(c, e) * k_.row(t)[c];
    }
  }
}

void ReferenceRecurrence::AddTokenGradients(
    int64_t t, const ReferenceState& before, const ReferenceState& d_state,
    ReferenceGradients& gradients) const {
  AddKeyValueGradients(t, d_state, gradients);
  // A gate multiplies nothing where a document starts.
  if (gate_width_ == 0 || StartsDocument(t)) return;
  // S_t = a_t S_{t-1} + ..., so d/dlog a_t = <S_{t-1}, a_t dS_t>, by rows.
  double* d_log_gate = &gradients.d_log_gate[t * gate_width_];
  for (int64_t c = 0; c < d_state.rows; ++c) {
    double sum = 0.0;
    for (int64_t e = 0; e < d_state.cols; ++e) {
      sum += before.at(c, e) * d_state.at(c, e);
    }
    d_log_gate[gate_width_ == 1 ? 0 : c] += Decay(t, c) * sum;
  }
}

}  // namespace longspan::kernels
