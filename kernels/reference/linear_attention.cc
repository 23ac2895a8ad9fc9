// Linear attention by its recurrence, token by token, in double. Gradients
// come from the reverse recurrence of the total derivative dS_t, not from the
// chunk formulas that the fast backends use.
#include "kernels/api/linear_attention.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "common/base/status_macros.h"
#include "kernels/api/linear_attention_operands.h"
#include "kernels/reference/element_access.h"
#include "kernels/reference/reference_ops.h"

namespace longspan::kernels {
namespace {

using Sizes = LinearAttentionSizes;

// One (Dk, Dv) state.
struct State {
  explicit State(const Sizes& sizes)
      : rows(sizes.key_dim), cols(sizes.value_dim), data(rows * cols, 0.0) {}

  double& at(int64_t c, int64_t e) { return data[c * cols + e]; }
  double at(int64_t c, int64_t e) const { return data[c * cols + e]; }
  // += factor * x^T y
  void AddOuter(double factor, const double* x, const double* y) {
    for (int64_t c = 0; c < rows; ++c) {
      for (int64_t e = 0; e < cols; ++e) at(c, e) += factor * x[c] * y[e];
    }
  }
  void Scale(double factor) {
    for (double& x : data) x *= factor;
  }
  void Clear() { std::fill(data.begin(), data.end(), 0.0); }

  int64_t rows;
  int64_t cols;
  std::vector<double> data;
};

State LoadState(const Sizes& sizes, const ConstTensorView& view, int64_t b,
                int64_t h) {
  State state(sizes);
  if (view.is_null()) return state;
  for (int64_t c = 0; c < state.rows; ++c) {
    for (int64_t e = 0; e < state.cols; ++e) {
      state.at(c, e) = Get(view, b, h, c, e);
    }
  }
  return state;
}

void StoreState(const State& state, const TensorView& view, int64_t b,
                int64_t h) {
  if (view.is_null()) return;
  for (int64_t c = 0; c < state.rows; ++c) {
    for (int64_t e = 0; e < state.cols; ++e) {
      Set(view, state.at(c, e), b, h, c, e);
    }
  }
}

// [T, D] of one batch element and head; empty for an absent operand.
class Tokens {
 public:
  Tokens(const ConstTensorView& view, int64_t b, int64_t h) {
    if (view.is_null()) return;
    cols_ = view.size(3);
    data_.reserve(view.size(1) * cols_);
    for (int64_t t = 0; t < view.size(1); ++t) {
      for (int64_t c = 0; c < cols_; ++c) {
        data_.push_back(Get(view, b, t, h, c));
      }
    }
  }

  const double* row(int64_t t) const { return &data_[t * cols_]; }

 private:
  int64_t cols_ = 0;
  std::vector<double> data_;
};

// One batch element and head of the inputs.
class Sequence {
 public:
  Sequence(const LinearAttentionInputs& inputs, int64_t b, int64_t h)
      : inputs_(inputs),
        b_(b),
        h_(h),
        q_(inputs.q, b, h),
        k_(inputs.k, b, h),
        v_(inputs.v, b, h) {}

  const double* q(int64_t t) const { return q_.row(t); }
  const double* k(int64_t t) const { return k_.row(t); }
  const double* v(int64_t t) const { return v_.row(t); }

  double log_decay(int64_t t) const {
    switch (inputs_.transition) {
      case Transition::kIdentity:
        return 0.0;
      case Transition::kConstant:
        return Get(inputs_.log_decay, h_);
      case Transition::kScalar:
        return Get(inputs_.log_gate, b_, t, h_);
    }
    return 0.0;
  }

  bool StartsDocument(int64_t t) const {
    const Documents& documents = inputs_.documents;
    return std::binary_search(documents.starts,
                              documents.starts + documents.count, t);
  }

  // S_t from S_{t-1}.
  void Advance(int64_t t, State& state) const {
    if (StartsDocument(t)) {
      state.Clear();
    } else {
      state.Scale(std::exp(log_decay(t)));
    }
    state.AddOuter(1.0, k(t), v(t));
  }

  double Output(int64_t t, int64_t e, const State& state) const {
    double sum = 0.0;
    for (int64_t c = 0; c < state.rows; ++c) sum += q(t)[c] * state.at(c, e);
    return inputs_.scale * sum;
  }

  // dS_{t-1} from dS_t.
  void Retreat(int64_t t, State& d_state) const {
    if (StartsDocument(t)) {
      d_state.Clear();
    } else {
      d_state.Scale(std::exp(log_decay(t)));
    }
  }

 private:
  const LinearAttentionInputs& inputs_;
  const int64_t b_;
  const int64_t h_;
  const Tokens q_, k_, v_;
};

// S_{t-1} for t = T-1 .. 0, recomputed from states saved every kStride tokens.
class StateHistory {
 public:
  StateHistory(const Sequence& sequence, const Sizes& sizes,
               const State& initial)
      : sequence_(sequence), final_(initial) {
    for (int64_t t = 0; t < sizes.tokens; ++t) {
      if (t % kStride == 0) saved_.push_back(final_);
      sequence.Advance(t, final_);
    }
  }

  const State& final_state() const { return final_; }

  // Cheap when called with decreasing t.
  const State& Before(int64_t t) {
    const int64_t block = t / kStride;
    if (block != block_) {
      block_ = block;
      states_.assign(1, saved_[block]);
    }
    while (static_cast<int64_t>(states_.size()) <= t % kStride) {
      State next = states_.back();
      sequence_.Advance(block * kStride + states_.size() - 1, next);
      states_.push_back(next);
    }
    return states_[t % kStride];
  }

 private:
  static constexpr int64_t kStride = 32;
  const Sequence& sequence_;
  State final_;
  std::vector<State> saved_;
  int64_t block_ = -1;
  std::vector<State> states_;
};

// Results of one sequence in double, before they are written or added.
struct SequenceGradients {
  explicit SequenceGradients(const Sizes& sizes)
      : d_q(sizes.tokens * sizes.key_dim),
        d_k(sizes.tokens * sizes.key_dim),
        d_v(sizes.tokens * sizes.value_dim),
        d_log_gate(sizes.tokens),
        d_initial_state(sizes) {}

  std::vector<double> d_q, d_k, d_v, d_log_gate;
  State d_initial_state;
};

void QueryGradient(const State& state, const double* d_o, double scale,
                   double* d_q) {
  for (int64_t c = 0; c < state.rows; ++c) {
    double sum = 0.0;
    for (int64_t e = 0; e < state.cols; ++e) sum += state.at(c, e) * d_o[e];
    d_q[c] = scale * sum;
  }
}

void KeyValueGradient(const double* k, const double* v, const State& d_state,
                      double* d_k, double* d_v) {
  std::fill(d_v, d_v + d_state.cols, 0.0);
  for (int64_t c = 0; c < d_state.rows; ++c) {
    double sum = 0.0;
    for (int64_t e = 0; e < d_state.cols; ++e) {
      sum += d_state.at(c, e) * v[e];
      d_v[e] += d_state.at(c, e) * k[c];
    }
    d_k[c] = sum;
  }
}

double Dot(const State& a, const State& b) {
  double sum = 0.0;
  for (size_t i = 0; i < a.data.size(); ++i) sum += a.data[i] * b.data[i];
  return sum;
}

SequenceGradients ComputeGradients(const LinearAttentionInputs& inputs,
                                   const Sizes& sizes, int64_t b, int64_t h,
                                   const State& initial_state,
                                   const ConstTensorView& d_o,
                                   const State& d_final_state) {
  const Sequence sequence(inputs, b, h);
  const Tokens d_outputs(d_o, b, h);
  StateHistory history(sequence, sizes, initial_state);
  SequenceGradients result(sizes);
  State d_state = d_final_state;
  for (int64_t t = sizes.tokens - 1; t >= 0; --t) {
    d_state.AddOuter(inputs.scale, sequence.q(t), d_outputs.row(t));
    State state = history.Before(t);
    sequence.Advance(t, state);
    QueryGradient(state, d_outputs.row(t), inputs.scale,
                  &result.d_q[t * sizes.key_dim]);
    KeyValueGradient(sequence.k(t), sequence.v(t), d_state,
                     &result.d_k[t * sizes.key_dim],
                     &result.d_v[t * sizes.value_dim]);
    sequence.Retreat(t, d_state);
    // S_t = a_t S_{t-1} + ..., so d/dlog a_t = <S_{t-1}, a_t dS_t>.
    result.d_log_gate[t] = Dot(history.Before(t), d_state);
  }
  result.d_initial_state = d_state;
  return result;
}

// `whole` minus `own`: what flows through the states at the range's ends.
void Subtract(const SequenceGradients& own, SequenceGradients& whole) {
  const auto subtract = [](const std::vector<double>& a,
                           std::vector<double>& b) {
    for (size_t i = 0; i < a.size(); ++i) b[i] -= a[i];
  };
  subtract(own.d_q, whole.d_q);
  subtract(own.d_k, whole.d_k);
  subtract(own.d_v, whole.d_v);
  subtract(own.d_log_gate, whole.d_log_gate);
}

void Write(const TensorView& view, double value, bool add, int64_t b, int64_t t,
           int64_t h, int64_t c) {
  Set(view, add ? Get(view, b, t, h, c) + value : value, b, t, h, c);
}

void WriteGradients(const SequenceGradients& from, const Sizes& sizes,
                    int64_t b, int64_t h, bool add,
                    const LinearAttentionGradients& to) {
  for (int64_t t = 0; t < sizes.tokens; ++t) {
    for (int64_t c = 0; c < sizes.key_dim; ++c) {
      Write(to.d_q, from.d_q[t * sizes.key_dim + c], add, b, t, h, c);
      Write(to.d_k, from.d_k[t * sizes.key_dim + c], add, b, t, h, c);
    }
    for (int64_t e = 0; e < sizes.value_dim; ++e) {
      Write(to.d_v, from.d_v[t * sizes.value_dim + e], add, b, t, h, e);
    }
    if (!to.d_log_gate.is_null()) {
      const double before = add ? Get(to.d_log_gate, b, t, h) : 0.0;
      Set(to.d_log_gate, before + from.d_log_gate[t], b, t, h);
    }
  }
}

// Outputs of the sequence; with `add`, only the part that flows from
// `initial_state` is computed, and added.
void ComputeOutputs(const LinearAttentionInputs& inputs, const Sizes& sizes,
                    int64_t b, int64_t h, State state, bool add,
                    const TensorView& o) {
  const Sequence sequence(inputs, b, h);
  State own(sizes);
  for (int64_t t = 0; t < sizes.tokens; ++t) {
    sequence.Advance(t, state);
    if (add) sequence.Advance(t, own);
    for (int64_t e = 0; e < sizes.value_dim; ++e) {
      double value = sequence.Output(t, e, state);
      if (add) value -= sequence.Output(t, e, own);
      Write(o, value, add, b, t, h, e);
    }
  }
}

double TotalLogDecay(const Sequence& sequence, const Sizes& sizes,
                     const Documents& documents) {
  if (!documents.empty()) return -INFINITY;
  double sum = 0.0;
  for (int64_t t = 0; t < sizes.tokens; ++t) sum += sequence.log_decay(t);
  return sum;
}

template <typename Fn>
void ForEachSequence(const Sizes& sizes, const Fn& fn) {
  for (int64_t b = 0; b < sizes.batch; ++b) {
    for (int64_t h = 0; h < sizes.heads; ++h) fn(b, h);
  }
}

class ReferenceLinearAttention : public LinearAttention {
 public:
  absl::Status Summarise(const LinearAttentionInputs& inputs,
                         const LinearAttentionSummary& summary, TensorView,
                         Stream&) override {
    ASSIGN_OR_RETURN(const Sizes sizes,
                     CheckSummarise(inputs, summary, kReferenceOperands));
    ForEachSequence(sizes, [&](int64_t b, int64_t h) {
      const Sequence sequence(inputs, b, h);
      State state(sizes);
      for (int64_t t = 0; t < sizes.tokens; ++t) sequence.Advance(t, state);
      StoreState(state, summary.state, b, h);
      Set(summary.log_decay, TotalLogDecay(sequence, sizes, inputs.documents),
          b, h);
    });
    return absl::OkStatus();
  }

  // Here the whole range is one chunk: kIntraChunk is what the range does with
  // no state coming in, kInterChunk the rest.
  absl::Status Outputs(const LinearAttentionInputs& inputs,
                       ConstTensorView initial_state, ChunkTerms terms,
                       const LinearAttentionOutputs& outputs, TensorView,
                       Stream&) override {
    ASSIGN_OR_RETURN(
        const Sizes sizes,
        CheckOutputs(inputs, initial_state, outputs, kReferenceOperands));
    ForEachSequence(sizes, [&](int64_t b, int64_t h) {
      State state = LoadState(sizes, initial_state, b, h);
      if (terms == ChunkTerms::kIntraChunk) state.Clear();
      ComputeOutputs(inputs, sizes, b, h, state,
                     terms == ChunkTerms::kInterChunk, outputs.o);
      if (terms == ChunkTerms::kIntraChunk) return;
      const Sequence sequence(inputs, b, h);
      for (int64_t t = 0; t < sizes.tokens; ++t) sequence.Advance(t, state);
      StoreState(state, outputs.final_state, b, h);
    });
    return absl::OkStatus();
  }

  absl::Status SummariseBackward(const LinearAttentionInputs& inputs,
                                 ConstTensorView d_o, TensorView d_state,
                                 TensorView, Stream&) override {
    ASSIGN_OR_RETURN(
        const Sizes sizes,
        CheckSummariseBackward(inputs, d_o, d_state, kReferenceOperands));
    ForEachSequence(sizes, [&](int64_t b, int64_t h) {
      const Sequence sequence(inputs, b, h);
      const Tokens d_outputs(d_o, b, h);
      State d_sum(sizes);
      for (int64_t t = sizes.tokens - 1; t >= 0; --t) {
        d_sum.AddOuter(inputs.scale, sequence.q(t), d_outputs.row(t));
        sequence.Retreat(t, d_sum);
      }
      StoreState(d_sum, d_state, b, h);
    });
    return absl::OkStatus();
  }

  absl::Status Gradients(const LinearAttentionInputs& inputs,
                         ConstTensorView initial_state,
                         const LinearAttentionOutputGradients& output_gradients,
                         ChunkTerms terms,
                         const LinearAttentionGradients& gradients, TensorView,
                         Stream&) override {
    ASSIGN_OR_RETURN(const Sizes sizes,
                     CheckGradients(inputs, initial_state, output_gradients,
                                    gradients, kReferenceOperands));
    const bool add = terms == ChunkTerms::kInterChunk;
    ForEachSequence(sizes, [&](int64_t b, int64_t h) {
      const State zero(sizes);
      const auto compute = [&](const State& start, const State& d_end) {
        return ComputeGradients(inputs, sizes, b, h, start,
                                output_gradients.d_o, d_end);
      };
      if (terms == ChunkTerms::kIntraChunk) {
        WriteGradients(compute(zero, zero), sizes, b, h, add, gradients);
        return;
      }
      SequenceGradients whole =
          compute(LoadState(sizes, initial_state, b, h),
                  LoadState(sizes, output_gradients.d_final_state, b, h));
      if (add) Subtract(compute(zero, zero), whole);
      WriteGradients(whole, sizes, b, h, add, gradients);
      StoreState(whole.d_initial_state, gradients.d_initial_state, b, h);
    });
    return absl::OkStatus();
  }

  absl::Status FoldSummaries(ConstTensorView states, ConstTensorView log_decays,
                             ConstTensorView initial_state, bool reverse,
                             TensorView state, Stream&) override {
    RETURN_IF_ERROR(CheckFoldSummaries(states, log_decays, initial_state, state,
                                       kReferenceOperands));
    const Sizes sizes = {state.dtype(), state.size(0), 0,
                         state.size(1), state.size(2), state.size(3)};
    const int64_t count = states.is_null() ? 0 : states.size(0);
    ForEachSequence(sizes, [&](int64_t b, int64_t h) {
      State sum = LoadState(sizes, initial_state, b, h);
      for (int64_t n = 0; n < count; ++n) {
        const int64_t i = reverse ? count - 1 - n : n;
        const double decay = std::exp(Get(log_decays, i, b, h));
        if (decay == 0.0) sum.Clear();
        sum.Scale(decay);
        for (int64_t c = 0; c < sum.rows; ++c) {
          for (int64_t e = 0; e < sum.cols; ++e) {
            sum.at(c, e) += Get(states, i, b, h, c, e);
          }
        }
      }
      StoreState(sum, state, b, h);
    });
    return absl::OkStatus();
  }

  absl::Status Decode(const LinearAttentionInputs& inputs,
                      ConstTensorView slots, TensorView state_pool,
                      TensorView o, Stream&) override {
    ASSIGN_OR_RETURN(const Sizes sizes, CheckDecode(inputs, slots, state_pool,
                                                    o, kReferenceOperands));
    ForEachSequence(sizes, [&](int64_t b, int64_t h) {
      const Sequence sequence(inputs, b, h);
      const int64_t slot = slots.data_as<int32_t>()[b * slots.stride(0)];
      State state = LoadState(sizes, state_pool, slot, h);
      for (int64_t t = 0; t < sizes.tokens; ++t) {
        sequence.Advance(t, state);
        for (int64_t e = 0; e < sizes.value_dim; ++e) {
          Set(o, sequence.Output(t, e, state), b, t, h, e);
        }
      }
      StoreState(state, state_pool, slot, h);
    });
    return absl::OkStatus();
  }
};

}  // namespace

std::unique_ptr<LinearAttention> CreateReferenceLinearAttention() {
  return std::make_unique<ReferenceLinearAttention>();
}

}  // namespace longspan::kernels
