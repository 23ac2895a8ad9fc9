#include "worker/model/model_state.h"

#include <utility>

#include "absl/memory/memory.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace longspan::worker {
namespace {

using kernels::TensorView;

// The tensor of shape `s` that begins `offset` bytes into the storage.
TensorView Shaped(const Tensor& storage, int64_t offset, kernels::DType dtype,
                  const std::vector<int64_t>& s) {
  char* data = static_cast<char*>(storage.view().data()) + offset;
  switch (s.size()) {
    case 3:
      return TensorView(data, dtype, {s[0], s[1], s[2]});
    case 4:
      return TensorView(data, dtype, {s[0], s[1], s[2], s[3]});
    case 5:
      return TensorView(data, dtype, {s[0], s[1], s[2], s[3], s[4]});
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
    const RankContext& context, const ModelSpec& spec,
    const StateCapacity& capacity) {
  auto state = absl::WrapUnique(new ModelState(context));
  state->capacity_ = capacity;
  const int64_t unit = context.element_bytes();
  ASSIGN_OR_RETURN(
      state->storage_,
      Tensor::Create(context.backend->memory(), kernels::DType::kU8,
                     StateBytes(spec, capacity, unit)));
  state->layers_.resize(spec.layer_count);
  int64_t offset = 0;
  for (int64_t layer = 0; layer < spec.layer_count; ++layer) {
    for (auto& info : LayerStateTensors(spec, layer, capacity)) {
      const TensorView view = Shaped(
          state->storage_, offset,
          info.accumulates ? context.accumulator() : context.dtype, info.shape);
      Member(state->layers_[layer], info.name) = view;
      offset += info.Bytes(unit);
      state->tensors_.push_back({std::move(info.name), view});
    }
  }
  return state;
}

absl::Status ModelState::Reset() {
  position_ = 0;
  for (LayerState& layer : layers_) {
    layer.cached_rows = 0;
    layer.document_row = 0;
  }
  for (const NamedTensor& tensor : tensors_) {
    // Rows of keys and values count only when cached.
    if (tensor.view.rank() == kernels::kMaxRank) continue;
    RETURN_IF_ERROR(
        context_.backend->elementwise().SetZero(tensor.view, *context_.stream));
  }
  return absl::OkStatus();
}

}  // namespace longspan::worker
