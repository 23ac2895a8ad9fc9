// The columns of a linear attention layer's input projection. One product
// makes all of them; a row of the result is
//
//     [ q: H Dk | k: H Dk | v: H Dv | gate: H Dv | decay | beta: H | padding ]
//
// where gate, decay and beta are there if the layer has them (decay: H columns
// for a gate per head, kGateRank for one per channel), and the row is padded so
// that every row begins on a cache line.
#pragma once

#include <cstdint>

#include "common/model_spec/linear_layer_form.h"
#include "common/model_spec/model_spec.h"

namespace longspan {

struct ProjectionWidths {
  int64_t key = 0;    // of q, and again of k
  int64_t value = 0;  // of v
  int64_t gate = 0;   // 0 without output gate
  int64_t decay = 0;  // 0 without a gate that depends on the token
  int64_t beta = 0;   // 0 without delta rule
  // Columns that the short convolution takes, from the first on; 0: none.
  int64_t convolved = 0;
  // Of one token after the projection, where the layer has such a buffer.
  int64_t features = 0;  // q and k after the feature map
  int64_t sums = 0;      // v and the normaliser's column, all heads
  int64_t log_gate = 0;

  int64_t mixed() const { return 2 * key + value; }  // q, k, v
  int64_t used() const { return mixed() + gate + decay + beta; }
  int64_t stride() const { return (used() + 15) / 16 * 16; }
};

inline ProjectionWidths LinearProjectionWidths(
    const LinearAttentionSpec& linear) {
  ProjectionWidths widths;
  widths.key = linear.heads * linear.key_dim;
  widths.value = linear.heads * linear.value_dim;
  widths.gate = linear.output_gate ? widths.value : 0;
  const LinearLayerForm form = FormOf(linear);
  widths.log_gate = GateWidth(linear);
  if (form.decay == StateDecay::kPerHead) widths.decay = linear.heads;
  if (form.decay == StateDecay::kPerChannel) widths.decay = kGateRank;
  if (form.delta) widths.beta = linear.heads;
  if (linear.short_convolution > 0) {
    widths.convolved =
        2 * widths.key + (form.convolves_values ? widths.value : 0);
  }
  if (form.feature_map != FeatureMap::kIdentity) {
    widths.features = 2 * linear.heads * form.features;
  }
  if (form.normalised) widths.sums = linear.heads * form.columns;
  return widths;
}

}  // namespace longspan
