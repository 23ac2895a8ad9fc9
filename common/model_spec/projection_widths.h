// The columns of a linear attention layer's input projection. One product
// makes all of them; a row of the result is
//
//     [ q: G Dk | k: G Dk | v: H Dv | gate | decay | beta: H | padding ]
//
// or, as mamba2 has them, [ gate | v | k | q | decay | padding ], with G key
// heads. Gate, decay and beta are there if the layer has them: H Dv columns of
// gate, H of decay, or the rank of the projection behind either. The row is
// padded so that every row begins on a cache line.
#pragma once

#include <cstdint>

#include "common/model_spec/linear_layer_form.h"
#include "common/model_spec/model_spec.h"

namespace longspan {

struct ProjectionWidths {
  int64_t key = 0;    // of q, and again of k
  int64_t value = 0;  // of v
  int64_t gate = 0;   // 0 without output gate
  int64_t decay = 0;  // 0 without a gate that is projected
  int64_t beta = 0;   // 0 without delta rule
  // First columns.
  int64_t q_at = 0, k_at = 0, v_at = 0, gate_at = 0, decay_at = 0, beta_at = 0;
  // Columns that the short convolution takes; none: 0.
  int64_t convolved_at = 0;
  int64_t convolved = 0;
  // Of one token after the projection, where the layer has such a buffer.
  int64_t features = 0;  // q and k after the feature map
  int64_t values = 0;    // v and the normaliser's column, or v times its step
  int64_t sums = 0;      // o and the normaliser's column, all heads
  int64_t log_gate = 0;

  int64_t mixed() const { return 2 * key + value; }  // q, k, v
  int64_t used() const { return mixed() + gate + decay + beta; }
  int64_t stride() const { return (used() + 15) / 16 * 16; }
};

inline void PlaceColumns(bool state_space, ProjectionWidths& widths) {
  if (state_space) {
    widths.v_at = widths.gate;
    widths.k_at = widths.v_at + widths.value;
    widths.q_at = widths.k_at + widths.key;
    widths.decay_at = widths.q_at + widths.key;
    widths.convolved_at = widths.v_at;
  } else {
    widths.k_at = widths.key;
    widths.v_at = 2 * widths.key;
    widths.gate_at = widths.mixed();
    widths.decay_at = widths.gate_at + widths.gate;
  }
  widths.beta_at = widths.decay_at + widths.decay;
}

inline int64_t DecayColumns(const LinearAttentionSpec& linear,
                            const LinearLayerForm& form) {
  if (form.decay == StateDecay::kPerHead) return linear.heads;
  return form.decay == StateDecay::kPerChannel ? form.gate_rank : 0;
}

inline ProjectionWidths LinearProjectionWidths(
    const LinearAttentionSpec& linear) {
  const LinearLayerForm form = FormOf(linear);
  ProjectionWidths widths;
  widths.key = linear.key_heads * linear.key_dim;
  widths.value = linear.heads * linear.value_dim;
  if (form.output_gate) {
    widths.gate =
        form.output_gate_rank > 0 ? form.output_gate_rank : widths.value;
  }
  widths.decay = DecayColumns(linear, form);
  if (form.delta) widths.beta = linear.heads;
  PlaceColumns(form.state_space, widths);
  if (linear.short_convolution > 0) {
    widths.convolved =
        2 * widths.key + (form.convolves_values ? widths.value : 0);
  }
  if (form.feature_map != FeatureMap::kIdentity) {
    widths.features = 2 * linear.key_heads * form.features;
  }
  if (form.normalised) widths.sums = linear.heads * form.columns;
  widths.values = form.state_space ? widths.value : widths.sums;
  widths.log_gate = GateWidth(linear);
  return widths;
}

}  // namespace longspan
