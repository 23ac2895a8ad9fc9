// The parameters of a model: names, shapes, places and initial values.
//
// All parameters lie in one flat buffer of ParameterLayout::total elements,
// gradients and moments in buffers of the same layout, so that optimiser,
// gradient sync, digests and checkpoints see plain ranges. Matrices that share
// an input are neighbours without gaps (q, k, v, gate, decay and beta
// projections; MLP gate and up), so that a layer multiplies with all of them at
// once; every such group begins at a multiple of kParameterAlignment elements.
// Gaps belong to no parameter and stay zero.
//
// Names and [out, in] layout are those of Hugging Face and fla.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/model_spec/model_spec.h"

namespace longspan {

inline constexpr int64_t kParameterAlignment = 16;

// "model.layers.0.": what the names of a layer's parameters begin with.
std::string LayerPrefix(int64_t layer);

enum class InitialValue {
  kNormal,
  kZero,
  kOne,
  kUnitMatrix,
  kLogRate,  // log of uniform numbers from 1 to 16: A_log
  kTimeStep  // numbers whose softplus is log-uniform from 0.001 to 0.1: dt_bias
};

struct ParameterInfo {
  std::string name;  // "model.layers.0.attn.q_proj.weight"
  std::vector<int64_t> shape;
  int64_t offset = 0;  // elements from the start of the flat buffer
  int64_t count = 0;   // elements
  InitialValue initial = InitialValue::kNormal;
  double standard_deviation = 0.0;  // kNormal only
  bool weight_decay = false;        // matrices only, not norms and biases
};

struct ParameterLayout {
  std::vector<ParameterInfo> parameters;  // by offset
  int64_t total = 0;  // elements of the flat buffer, gaps included

  // Null when there is no parameter of this name.
  const ParameterInfo* Find(std::string_view name) const;
};

ParameterLayout LayoutParameters(const ModelSpec& spec);

// Elements of all parameters, gaps not included.
int64_t ParameterCount(const ModelSpec& spec);

}  // namespace longspan
