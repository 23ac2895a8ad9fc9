// Linear attention by its recurrence, token by token, in double. Gradients
// come from the reverse recurrence of the total derivative dS_t, not from the
// chunk formulas that the fast backends use.
#include "kernels/api/linear_attention.h"

#include <cmath>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "common/base/status_macros.h"
#include "kernels/api/linear_attention_operands.h"
#include "kernels/reference/element_access.h"
#include "kernels/reference/linear_attention_gradients.h"
#include "kernels/reference/linear_attention_recurrence.h"
#include "kernels/reference/reference_ops.h"

namespace longspan::kernels {
namespace {

using Recurrence = ReferenceRecurrence;
using Sizes = LinearAttentionSizes;
using State = ReferenceState;
using Tokens = ReferenceTokens;

// `whole` minus `own`: what flows through the states at the range's ends.
void Subtract(const ReferenceGradients& own, ReferenceGradients& whole) {
  const auto subtract = [](const std::vector<double>& a,
                           std::vector<double>& b) {
    for (size_t i = 0; i < a.size(); ++i) b[i] -= a[i];
  };
  subtract(own.d_q, whole.d_q);
  subtract(own.d_k, whole.d_k);
  subtract(own.d_v, whole.d_v);
  subtract(own.d_log_gate, whole.d_log_gate);
  subtract(own.d_beta, whole.d_beta);
}

void Write(const TensorView& view, double value, bool add, int64_t b, int64_t t,
           int64_t h, int64_t c) {
  Set(view, add ? Get(view, b, t, h, c) + value : value, b, t, h, c);
}

// Gates are [B, T, H] or [B, T, H, Dk]; there may be none.
void WriteGates(const std::vector<double>& from, const Sizes& sizes, int64_t b,
                int64_t h, bool add, const TensorView& to) {
  const int64_t width = static_cast<int64_t>(from.size()) / sizes.tokens;
  for (int64_t t = 0; t < sizes.tokens; ++t) {
    for (int64_t c = 0; c < width; ++c) {
      const double value = from[t * width + c];
      if (to.rank() == 4) {
        Write(to, value, add, b, t, h, c);
      } else {
        Set(to, add ? Get(to, b, t, h) + value : value, b, t, h);
      }
    }
  }
}

// What one head has alone.
void WriteHeadGradients(const ReferenceGradients& from, const Sizes& sizes,
                        int64_t b, int64_t h, bool add,
                        const LinearAttentionGradients& to) {
  for (int64_t t = 0; t < sizes.tokens; ++t) {
    for (int64_t e = 0; e < sizes.value_dim; ++e) {
      Write(to.d_v, from.d_v[t * sizes.value_dim + e], add, b, t, h, e);
    }
  }
  WriteGates(from.d_log_gate, sizes, b, h, add, to.d_log_gate);
  WriteGates(from.d_beta, sizes, b, h, add, to.d_beta);
}

// d_q and d_k of one head of q and k: sums over the heads that share it.
class KeyHeadGradients {
 public:
  explicit KeyHeadGradients(const Sizes& sizes)
      : sizes_(sizes),
        d_q_(sizes.tokens * sizes.key_dim),
        d_k_(sizes.tokens * sizes.key_dim) {}

  void Add(const ReferenceGradients& head) {
    for (size_t i = 0; i < d_q_.size(); ++i) {
      d_q_[i] += head.d_q[i];
      d_k_[i] += head.d_k[i];
    }
  }

  void Store(int64_t b, int64_t key_head, bool add,
             const LinearAttentionGradients& to) const {
    for (int64_t t = 0; t < sizes_.tokens; ++t) {
      for (int64_t c = 0; c < sizes_.key_dim; ++c) {
        const int64_t i = t * sizes_.key_dim + c;
        Write(to.d_q, d_q_[i], add, b, t, key_head, c);
        Write(to.d_k, d_k_[i], add, b, t, key_head, c);
      }
    }
  }

 private:
  const Sizes& sizes_;
  std::vector<double> d_q_, d_k_;
};

// Outputs of the sequence; with `add`, only the part that flows from
// `initial_state` is computed, and added.
void ComputeOutputs(const LinearAttentionInputs& inputs, const Sizes& sizes,
                    int64_t b, int64_t h, State state, bool add,
                    const TensorView& o) {
  const Recurrence sequence(inputs, sizes, b, h);
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

double TotalLogDecay(const Recurrence& sequence, const Sizes& sizes,
                     const Documents& documents, int64_t c) {
  if (!documents.empty()) return -INFINITY;
  double sum = 0.0;
  for (int64_t t = 0; t < sizes.tokens; ++t) sum += sequence.log_decay(t, c);
  return sum;
}

void WriteLogDecay(const Recurrence& sequence, const Sizes& sizes,
                   const Documents& documents, int64_t b, int64_t h,
                   const TensorView& to) {
  const auto total = [&](int64_t c) {
    return TotalLogDecay(sequence, sizes, documents, c);
  };
  if (to.rank() == 2) return Set(to, total(0), b, h);
  for (int64_t c = 0; c < sizes.key_dim; ++c) Set(to, total(c), b, h, c);
}

// The state after the last token; on the way, the prefix snapshots.
void WriteStates(const Recurrence& sequence, const Sizes& sizes, int64_t b,
                 int64_t h, State state,
                 const LinearAttentionOutputs& outputs) {
  const int64_t interval = outputs.snapshot_interval;
  for (int64_t t = 0; t < sizes.tokens; ++t) {
    sequence.Advance(t, state);
    const int64_t passed = t + 1;
    if (interval == 0 || passed == sizes.tokens || passed % interval != 0) {
      continue;
    }
    state.StoreSnapshot(outputs.prefix_states, b, passed / interval - 1, h);
  }
  state.Store(outputs.final_state, b, h);
}

// Element `b` of dimension 0 and `h` of dimension 2, which stay.
ConstTensorView OfHead(const ConstTensorView& view, int64_t b, int64_t h) {
  if (view.is_null()) return view;
  return view.Slice(0, b, b + 1).Slice(2, h, h + 1);
}

// What the range does to each unit state, with values of zero.
void WriteTransition(const LinearAttentionInputs& inputs, Sizes sizes,
                     int64_t b, int64_t h, const TensorView& to) {
  const std::vector<double> zeros(sizes.tokens * sizes.key_dim);
  LinearAttentionInputs head = inputs;
  head.q = {};
  head.k = OfHead(inputs.k, b, sizes.KeyHeadOf(h));
  head.log_gate = OfHead(inputs.log_gate, b, h);
  head.beta = OfHead(inputs.beta, b, h);
  head.v = ConstTensorView(zeros.data(), DType::kF64,
                           {1, sizes.tokens, 1, sizes.key_dim});
  sizes.value_dim = sizes.key_dim;
  sizes.heads = sizes.key_heads = 1;
  const Recurrence sequence(head, sizes, 0, 0);
  State state(sizes);
  for (int64_t c = 0; c < sizes.key_dim; ++c) state.at(c, c) = 1.0;
  for (int64_t t = 0; t < sizes.tokens; ++t) sequence.Advance(t, state);
  state.Store(to, b, h);
}

// M S, or M^T S, of summary i.
State Transformed(const ConstTensorView& transitions, int64_t i, int64_t b,
                  int64_t h, bool transposed, const State& state) {
  State result = state;
  result.Clear();
  for (int64_t c = 0; c < state.rows; ++c) {
    for (int64_t d = 0; d < state.rows; ++d) {
      const double factor = transposed ? Get(transitions, i, b, h, d, c)
                                       : Get(transitions, i, b, h, c, d);
      for (int64_t e = 0; e < state.cols; ++e) {
        result.at(c, e) += factor * state.at(d, e);
      }
    }
  }
  return result;
}

void ScaleByDecays(const ConstTensorView& decays, int64_t i, int64_t b,
                   int64_t h, State& state) {
  for (int64_t c = 0; c < state.rows; ++c) {
    const double decay = std::exp(decays.rank() == 4 ? Get(decays, i, b, h, c)
                                                     : Get(decays, i, b, h));
    for (int64_t e = 0; e < state.cols; ++e) {
      // A decay of zero forgets what was there, even an infinity.
      state.at(c, e) = decay == 0.0 ? 0.0 : decay * state.at(c, e);
    }
  }
}

// S <- e^A S + S_ext, or M S + S_ext, for summary i.
void FoldSummary(const ConstTensorView& states, const ConstTensorView& decays,
                 int64_t i, int64_t b, int64_t h, bool reverse, State& sum) {
  if (decays.rank() == 5) {
    sum = Transformed(decays, i, b, h, reverse, sum);
  } else {
    ScaleByDecays(decays, i, b, h, sum);
  }
  for (int64_t c = 0; c < sum.rows; ++c) {
    for (int64_t e = 0; e < sum.cols; ++e) {
      sum.at(c, e) += Get(states, i, b, h, c, e);
    }
  }
}

// The terms of one head's gradients.
ReferenceGradients HeadGradients(const LinearAttentionInputs& inputs,
                                 const Sizes& sizes, int64_t b, int64_t h,
                                 const ConstTensorView& initial_state,
                                 const LinearAttentionOutputGradients& upstream,
                                 ChunkTerms terms) {
  const Recurrence sequence(inputs, sizes, b, h);
  const Tokens d_outputs(upstream.d_o, b, h);
  const State zero(sizes);
  const auto compute = [&](const State& start, const State& d_end) {
    return ComputeReferenceGradients(sequence, sizes, start, d_outputs, d_end);
  };
  if (terms == ChunkTerms::kIntraChunk) return compute(zero, zero);
  ReferenceGradients whole =
      compute(State::Load(sizes, initial_state, b, h),
              State::Load(sizes, upstream.d_final_state, b, h));
  if (terms == ChunkTerms::kInterChunk) Subtract(compute(zero, zero), whole);
  return whole;
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
      const Recurrence sequence(inputs, sizes, b, h);
      State state(sizes);
      for (int64_t t = 0; t < sizes.tokens; ++t) sequence.Advance(t, state);
      state.Store(summary.state, b, h);
      if (sequence.dense()) {
        WriteTransition(inputs, sizes, b, h, summary.transition);
      } else {
        WriteLogDecay(sequence, sizes, inputs.documents, b, h,
                      summary.log_decay);
      }
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
      State state = State::Load(sizes, initial_state, b, h);
      if (terms == ChunkTerms::kIntraChunk) state.Clear();
      ComputeOutputs(inputs, sizes, b, h, state,
                     terms == ChunkTerms::kInterChunk, outputs.o);
      if (terms == ChunkTerms::kIntraChunk) return;
      WriteStates(Recurrence(inputs, sizes, b, h), sizes, b, h, state, outputs);
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
      const Recurrence sequence(inputs, sizes, b, h);
      const Tokens d_outputs(d_o, b, h);
      State d_sum(sizes);
      for (int64_t t = sizes.tokens - 1; t >= 0; --t) {
        d_sum.AddOuter(inputs.scale, sequence.q(t), d_outputs.row(t));
        sequence.Retreat(t, d_sum);
      }
      d_sum.Store(d_state, b, h);
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
    const int64_t shares = sizes.heads / sizes.key_heads;
    Sizes key_sizes = sizes;
    key_sizes.heads = sizes.key_heads;
    ForEachSequence(key_sizes, [&](int64_t b, int64_t key_head) {
      KeyHeadGradients sums(sizes);
      for (int64_t i = 0; i < shares; ++i) {
        const int64_t h = key_head * shares + i;
        const ReferenceGradients head = HeadGradients(
            inputs, sizes, b, h, initial_state, output_gradients, terms);
        sums.Add(head);
        WriteHeadGradients(head, sizes, b, h, add, gradients);
        if (terms == ChunkTerms::kIntraChunk) continue;
        head.d_initial_state.Store(gradients.d_initial_state, b, h);
      }
      sums.Store(b, key_head, add, gradients);
    });
    return absl::OkStatus();
  }

  absl::Status FoldSummaries(ConstTensorView states, ConstTensorView decays,
                             ConstTensorView initial_state, bool reverse,
                             TensorView state, Stream&) override {
    RETURN_IF_ERROR(CheckFoldSummaries(states, decays, initial_state, state,
                                       kReferenceOperands));
    const Sizes sizes = {state.dtype(), state.size(0), 0,
                         state.size(1), state.size(2), state.size(3)};
    const int64_t count = states.is_null() ? 0 : states.size(0);
    ForEachSequence(sizes, [&](int64_t b, int64_t h) {
      State sum = State::Load(sizes, initial_state, b, h);
      for (int64_t n = 0; n < count; ++n) {
        const int64_t i = reverse ? count - 1 - n : n;
        FoldSummary(states, decays, i, b, h, reverse, sum);
      }
      sum.Store(state, b, h);
    });
    return absl::OkStatus();
  }

  absl::Status Decode(const LinearAttentionInputs& inputs,
                      ConstTensorView slots, TensorView state_pool,
                      TensorView o, Stream&) override {
    ASSIGN_OR_RETURN(const Sizes sizes, CheckDecode(inputs, slots, state_pool,
                                                    o, kReferenceOperands));
    ForEachSequence(sizes, [&](int64_t b, int64_t h) {
      const Recurrence sequence(inputs, sizes, b, h);
      const int64_t slot = slots.data_as<int32_t>()[b * slots.stride(0)];
      State state = State::Load(sizes, state_pool, slot, h);
      for (int64_t t = 0; t < sizes.tokens; ++t) {
        sequence.Advance(t, state);
        for (int64_t e = 0; e < sizes.value_dim; ++e) {
          Set(o, sequence.Output(t, e, state), b, t, h, e);
        }
      }
      state.Store(state_pool, slot, h);
    });
    return absl::OkStatus();
  }
};

}  // namespace

std::unique_ptr<LinearAttention> CreateReferenceLinearAttention() {
  return std::make_unique<ReferenceLinearAttention>();
}

}  // namespace longspan::kernels
