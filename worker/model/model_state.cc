#include "worker/model/model_state.h"

#include <cstring>
#include <utility>

#include "absl/memory/memory.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace longspan::worker {
namespace {

using kernels::TensorView;

TensorView Shaped(const Tensor& storage, int64_t offset,
                  const std::vector<int64_t>& s) {
  switch (s.size()) {
    case 3:
      return storage.View(offset, {s[0], s[1], s[2]});
    case 4:
      return storage.View(offset, {s[0], s[1], s[2], s[3]});
    case 5:
      return storage.View(offset, {s[0], s[1], s[2], s[3], s[4]});
  }
  LONGSPAN_CHECK(false) << "state tensor of rank " << s.size();
  return TensorView();
}

// Which member of a layer's state a name belongs to.
TensorView& Member(LayerState& state, const std::string& name) {
  const std::string last = name.substr(name.rfind('.') + 1);
  if (last == "memory") return state.memory;
  if (last == "conv_tail") return state.conv_tail;
  LONGSPAN_CHECK(last == "key_value") << "state tensor " << name;
  return state.key_value;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ModelState>> ModelState::Create(
    const ModelSpec& spec, const StateCapacity& capacity,
    kernels::DType dtype) {
  auto state = absl::WrapUnique(new ModelState());
  state->capacity_ = capacity;
  const int64_t unit = kernels::BytesPerElement(dtype);
  ASSIGN_OR_RETURN(
      state->storage_,
      Tensor::Create(dtype, StateBytes(spec, capacity, unit) / unit));
  state->layers_.resize(spec.layer_count);
  int64_t offset = 0;
  for (int64_t layer = 0; layer < spec.layer_count; ++layer) {
    for (auto& info : LayerStateTensors(spec, layer, capacity)) {
      const TensorView view = Shaped(state->storage_, offset, info.shape);
      Member(state->layers_[layer], info.name) = view;
      offset += info.count;
      state->tensors_.push_back({std::move(info.name), view});
    }
  }
  return state;
}

void ModelState::Reset() {
  position_ = 0;
  for (LayerState& layer : layers_) {
    layer.cached_rows = 0;
    layer.document_row = 0;
  }
  for (const NamedTensor& tensor : tensors_) {
    // Rows of keys and values count only when cached.
    if (tensor.view.rank() == kernels::kMaxRank) continue;
    std::memset(tensor.view.data(), 0, tensor.view.byte_count());
  }
}

}  // namespace longspan::worker
