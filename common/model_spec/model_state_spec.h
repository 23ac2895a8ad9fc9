// The recurrent state of a model as named tensors, one declaration for decode,
// planner, session files and boundary states.
//
//   linear layers   memory     [B, H, F, Dv (+ 1)]  S after the last token,
//   with
//                                                   the normaliser's column
//                   conv_tail  [B, K-1, C]          inputs of the convolution
//   softmax layers  key_value  [B, rows, 2, Hkv, D] keys and values seen
//
// `rows` is the number of tokens that can be looked back upon: the whole
// context, or twice the window, so that old rows are dropped only now and then.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/model_spec/model_spec.h"

namespace longspan {

struct StateTensorInfo {
  std::string name;  // "model.layers.0.memory"
  std::vector<int64_t> shape;
  int64_t count = 0;
  // Of the type of sums (f32 beside bf16) instead of that of activations.
  bool accumulates = false;

  // Where the activations have `element_bytes`, rounded up to kBufferAlignment.
  int64_t Bytes(int64_t element_bytes) const;
};

// How much a state must hold.
struct StateCapacity {
  int64_t batch = 1;
  int64_t context_tokens = 0;  // longest text, prompt and new tokens
  int64_t piece_tokens = 1;    // most tokens of one forward pass, all ranks
};

std::vector<StateTensorInfo> LayerStateTensors(const ModelSpec& spec,
                                               int64_t layer,
                                               const StateCapacity& capacity);

// Rows of the key/value tensor of a softmax layer.
int64_t KeyValueRows(const ModelSpec& spec, const StateCapacity& capacity);

// Bytes of the states of all layers, one tensor after the other.
int64_t StateBytes(const ModelSpec& spec, const StateCapacity& capacity,
                   int64_t element_bytes);

}  // namespace longspan
