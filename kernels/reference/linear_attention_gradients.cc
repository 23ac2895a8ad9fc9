#include "kernels/reference/linear_attention_gradients.h"

#include <vector>

namespace longspan::kernels {
namespace {

// S_{t-1} for t = T-1 .. 0, recomputed from states saved every kStride tokens.
class StateHistory {
 public:
  StateHistory(const ReferenceRecurrence& recurrence,
               const LinearAttentionSizes& sizes, const ReferenceState& initial)
      : recurrence_(recurrence) {
    ReferenceState state = initial;
    for (int64_t t = 0; t < sizes.tokens; ++t) {
      if (t % kStride == 0) saved_.push_back(state);
      recurrence.Advance(t, state);
    }
  }

  // Cheap when called with decreasing t.
  const ReferenceState& Before(int64_t t) {
    const int64_t block = t / kStride;
    if (block != block_) {
      block_ = block;
      states_.assign(1, saved_[block]);
    }
    while (static_cast<int64_t>(states_.size()) <= t % kStride) {
      ReferenceState next = states_.back();
      recurrence_.Advance(block * kStride + states_.size() - 1, next);
      states_.push_back(next);
    }
    return states_[t % kStride];
  }

 private:
  static constexpr int64_t kStride = 32;
  const ReferenceRecurrence& recurrence_;
  std::vector<ReferenceState> saved_;
  int64_t block_ = -1;
  std::vector<ReferenceState> states_;
};

void QueryGradient(const ReferenceState& state, const double* d_o, double scale,
                   double* d_q) {
  for (int64_t c = 0; c < state.rows; ++c) {
    double sum = 0.0;
    const double* row = state.row(c);
    for (int64_t e = 0; e < state.cols; ++e) sum += row[e] * d_o[e];
    d_q[c] = scale * sum;
  }
}

}  // namespace

ReferenceGradients ComputeReferenceGradients(
    const ReferenceRecurrence& recurrence, const LinearAttentionSizes& sizes,
    const ReferenceState& initial_state, const ReferenceTokens& d_o,
    const ReferenceState& d_final_state) {
  StateHistory history(recurrence, sizes, initial_state);
  ReferenceGradients result(sizes, recurrence.gate_width(), recurrence.dense());
  ReferenceState d_state = d_final_state;
  for (int64_t t = sizes.tokens - 1; t >= 0; --t) {
    d_state.AddOuter(recurrence.scale(), recurrence.q(t), d_o.row(t));
    const ReferenceState& before = history.Before(t);
    ReferenceState after = before;
    recurrence.Advance(t, after);
    QueryGradient(after, d_o.row(t), recurrence.scale(),
                  &result.d_q[t * sizes.key_dim]);
    recurrence.AddTokenGradients(t, before, d_state, result);
    recurrence.Retreat(t, d_state);
  }
  result.d_initial_state = d_state;
  return result;
}

}  // namespace longspan::kernels
