// The recurrent state of a model: what must be remembered of all tokens so
// far to go on with the next one. Declared as named tensors by
// common/model_spec/model_state_spec.h.
//
// A forward pass takes the state of the text before its piece and leaves the
// state after it. The leaving state is the same on every rank of the gang
// (linear states are folded from the gathered summaries, keys and values are
// gathered anyway, the convolution tail is broadcast), so the next piece may
// be run by the same gang, and decoding may go on alone on any rank.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/model_spec/model_state_spec.h"
#include "kernels/api/tensor_view.h"
#include "worker/parallel/rank_context.h"
#include "worker/tensor/tensor.h"

namespace longspan::worker {

// Views into the model state; null where the layer has no such tensor.
struct LayerState {
  kernels::TensorView memory;     // [B, H, Dk, Dv]
  kernels::TensorView conv_tail;  // [B, K-1, C]
  kernels::TensorView key_value;  // [B, rows, 2, Hkv, D]
  int64_t cached_rows = 0;        // rows of key_value in use
  int64_t document_row = 0;       // first row of the current document
};

class ModelState {
 public:
  // An empty text.
  static absl::StatusOr<std::unique_ptr<ModelState>> Create(
      const RankContext& context, const ModelSpec& spec,
      const StateCapacity& capacity);

  // Tokens seen so far: the position of the next one.
  int64_t position() const { return position_; }
  void set_position(int64_t position) { position_ = position; }
  const StateCapacity& capacity() const { return capacity_; }
  LayerState& layer(int64_t layer) { return layers_[layer]; }

  // Back to an empty text.
  absl::Status Reset();

  // All tensors by name (for session files and boundary states).
  struct NamedTensor {
    std::string name;  // "model.layers.0.memory"
    kernels::TensorView view;
  };
  const std::vector<NamedTensor>& tensors() const { return tensors_; }

 private:
  explicit ModelState(const RankContext& context) : context_(context) {}

  const RankContext context_;
  StateCapacity capacity_;
  Tensor storage_;
  std::vector<NamedTensor> tensors_;
  std::vector<LayerState> layers_;
  int64_t position_ = 0;
};

}  // namespace longspan::worker
