// The columns of a linear attention layer's input projection. One product
// makes all of them; a row of the result is
//
//     [ q: H Dk | k: H Dk | v: H Dv | gate: H Dv | decay: H | padding ]
//
// where gate and decay are there if the layer has them, and the row is padded
// so that every row begins on a cache line.
#pragma once

#include <cstdint>

#include "common/model_spec/model_spec.h"

namespace longspan {

struct ProjectionWidths {
  int64_t key = 0;    // of q, and again of k
  int64_t value = 0;  // of v
  int64_t gate = 0;   // 0 without output gate
  int64_t decay = 0;  // 0 unless simple_gla

  int64_t mixed() const { return 2 * key + value; }  // q, k, v
  int64_t used() const { return mixed() + gate + decay; }
  int64_t stride() const { return (used() + 15) / 16 * 16; }
};

inline ProjectionWidths LinearProjectionWidths(
    const LinearAttentionSpec& linear) {
  ProjectionWidths widths;
  widths.key = linear.heads * linear.key_dim;
  widths.value = linear.heads * linear.value_dim;
  widths.gate = linear.output_gate ? widths.value : 0;
  widths.decay = linear.mixer == LinearMixer::kSimpleGla ? linear.heads : 0;
  return widths;
}

}  // namespace longspan
