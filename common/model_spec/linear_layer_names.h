// What the parameters of a linear attention layer are called, behind
// "model.layers.0.attn.": the field's names (fla, Hugging Face), which differ
// from layer to layer.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/model_spec/model_spec.h"

namespace longspan {

struct NamedRows {
  std::string name;
  int64_t rows = 0;
};

// The matrices of the fused input projection, in the order of their rows
// (projection_widths.h): q_proj.weight and so on, or mamba2's in_proj.weight.
std::vector<NamedRows> InputProjections(const LinearAttentionSpec& linear);

// The short convolution's weights, likewise, and its biases; empty without.
std::vector<NamedRows> Convolutions(const LinearAttentionSpec& linear);
std::vector<NamedRows> ConvolutionBiases(const LinearAttentionSpec& linear);

struct LinearLayerNames {
  std::string gate_expansion;  // of a gate per channel behind a low rank
  std::string gate_bias;
  // Of an output gate behind a low rank; ".weight" and ".bias" follow.
  std::string output_gate_expansion;
  std::string output_norm;
  std::string output;
};
LinearLayerNames NamesOf(const LinearAttentionSpec& linear);

}  // namespace longspan
