// The recurrence of linear attention, one batch element and head, in double:
// what a token does to the state, and what that means for gradients.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/api/linear_attention.h"
#include "kernels/api/linear_attention_operands.h"

namespace longspan::kernels {

// One (Dk, Dv) state.
struct ReferenceState {
  explicit ReferenceState(const LinearAttentionSizes& sizes)
      : rows(sizes.key_dim), cols(sizes.value_dim), data(rows * cols, 0.0) {}
  // Of batch element b and head h of [B, H, Dk, Dv]; zero for an absent view.
  static ReferenceState Load(const LinearAttentionSizes& sizes,
                             const ConstTensorView& view, int64_t b, int64_t h);
  void Store(const TensorView& view, int64_t b, int64_t h) const;
  // As entry p of [B, P, H, Dk, Dv].
  void StoreSnapshot(const TensorView& view, int64_t b, int64_t p,
                     int64_t h) const;

  double* row(int64_t c) { return data.data() + c * cols; }
  const double* row(int64_t c) const { return data.data() + c * cols; }
  double& at(int64_t c, int64_t e) { return row(c)[e]; }
  double at(int64_t c, int64_t e) const { return row(c)[e]; }
  // += factor * x^T y
  void AddOuter(double factor, const double* x, const double* y);
  void ScaleRow(int64_t c, double factor);
  void Clear();

  int64_t rows;
  int64_t cols;
  std::vector<double> data;
};

// [T, D] of one batch element and head; empty for an absent operand. A gate
// [T] has D = 1.
class ReferenceTokens {
 public:
  ReferenceTokens(const ConstTensorView& view, int64_t b, int64_t h);

  const double* row(int64_t t) const { return &data_[t * cols_]; }

 private:
  int64_t cols_ = 0;
  std::vector<double> data_;
};

// Results of a sequence's tokens, before they are written or added.
struct ReferenceGradients {
  ReferenceGradients(const LinearAttentionSizes& sizes, int64_t gate_width,
                     bool dense)
      : d_q(sizes.tokens * sizes.key_dim),
        d_k(sizes.tokens * sizes.key_dim),
        d_v(sizes.tokens * sizes.value_dim),
        d_log_gate(sizes.tokens * gate_width),
        d_beta(dense ? sizes.tokens : 0),
        d_initial_state(sizes) {}

  std::vector<double> d_q, d_k, d_v, d_log_gate, d_beta;
  ReferenceState d_initial_state;
};

class ReferenceRecurrence {
 public:
  ReferenceRecurrence(const LinearAttentionInputs& inputs,
                      const LinearAttentionSizes& sizes, int64_t b, int64_t h);

  const double* q(int64_t t) const { return q_.row(t); }
  double scale() const { return inputs_.scale; }
  bool dense() const { return inputs_.transition == Transition::kDense; }
  // Gates of a token: 0, 1 or Dk.
  int64_t gate_width() const { return gate_width_; }
  // The logarithm of what token t multiplies row c of the state with.
  double log_decay(int64_t t, int64_t c) const;
  bool StartsDocument(int64_t t) const;

  // S_t from S_{t-1}.
  void Advance(int64_t t, ReferenceState& state) const;
  double Output(int64_t t, int64_t e, const ReferenceState& state) const;
  // dS_{t-1} from dS_t, the gradient of all that follows from S_t.
  void Retreat(int64_t t, ReferenceState& d_state) const;
  // What dS_t means for token t's k, v and gates; `before` is S_{t-1}.
  void AddTokenGradients(int64_t t, const ReferenceState& before,
                         const ReferenceState& d_state,
                         ReferenceGradients& gradients) const;

 private:
  double Decay(int64_t t, int64_t c) const;
  void ApplyDecay(int64_t t, ReferenceState& state) const;
  // k_t S
  std::vector<double> Read(int64_t t, const ReferenceState& state) const;
  // What token t writes along k_t: v_t, or with the delta rule
  // beta_t (v_t - k_t S) of the decayed state S.
  std::vector<double> Written(int64_t t, const ReferenceState& decayed) const;
  void AddWriteGradients(int64_t t, const std::vector<double>& written,
                         const ReferenceState& d_state,
                         ReferenceGradients& gradients) const;
  // Of beta_t (v_t - k_t S), whose own gradient is `d_written`.
  void AddDeltaGradients(int64_t t, const ReferenceState& decayed,
                         const std::vector<double>& d_written,
                         ReferenceGradients& gradients) const;
  void AddGateGradients(int64_t t, const ReferenceState& decayed,
                        const ReferenceState& d_decayed,
                        ReferenceGradients& gradients) const;
  // The gradient of the decayed state from dS_t.
  ReferenceState DecayedGradient(int64_t t,
                                 const ReferenceState& d_state) const;

  const LinearAttentionInputs& inputs_;
  const LinearAttentionSizes sizes_;
  const int64_t h_;
  const int64_t gate_width_;
  const ReferenceTokens q_, k_, v_, log_gate_, beta_;
};

}  // namespace longspan::kernels
