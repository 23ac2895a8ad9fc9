#include "common/model_spec/model_state_spec.h"

#include <algorithm>
#include <utility>

#include "common/model_spec/buffer_list.h"
#include "common/model_spec/parameter_layout.h"
#include "common/model_spec/precision.h"
#include "common/model_spec/projection_widths.h"

namespace longspan {
namespace {

StateTensorInfo MakeInfo(std::string name, std::vector<int64_t> shape) {
  int64_t count = 1;
  for (int64_t size : shape) count *= size;
  return {std::move(name), std::move(shape), count};
}

}  // namespace

int64_t StateTensorInfo::Bytes(int64_t element_bytes) const {
  const int64_t bytes =
      count * (accumulates ? AccumulatorBytes(element_bytes) : element_bytes);
  return RoundUpToBuffer(bytes);
}

int64_t KeyValueRows(const ModelSpec& spec, const StateCapacity& capacity) {
  if (spec.softmax.window == 0) return capacity.context_tokens;
  return std::min(capacity.context_tokens,
                  2 * spec.softmax.window + capacity.piece_tokens);
}

std::vector<StateTensorInfo> LayerStateTensors(const ModelSpec& spec,
                                               int64_t layer,
                                               const StateCapacity& capacity) {
  const std::string prefix = LayerPrefix(layer);
  const int64_t batch = capacity.batch;
  if (LayerKindAt(spec, layer) == LayerKind::kSoftmax) {
    return {MakeInfo(prefix + "key_value",
                     {batch, KeyValueRows(spec, capacity), 2,
                      spec.softmax.key_heads, spec.softmax.head_dim})};
  }
  const LinearAttentionSpec& linear = spec.linear;
  const LinearLayerForm form = FormOf(linear);
  std::vector<StateTensorInfo> tensors = {MakeInfo(
      prefix + "memory", {batch, linear.heads, form.features, form.columns})};
  tensors[0].accumulates = true;
  if (linear.short_convolution > 0) {
    tensors.push_back(MakeInfo(prefix + "conv_tail",
                               {batch, linear.short_convolution - 1,
                                LinearProjectionWidths(linear).convolved}));
  }
  return tensors;
}

int64_t StateBytes(const ModelSpec& spec, const StateCapacity& capacity,
                   int64_t element_bytes) {
  int64_t bytes = 0;
  for (int64_t layer = 0; layer < spec.layer_count; ++layer) {
    for (const auto& info : LayerStateTensors(spec, layer, capacity)) {
      bytes += info.Bytes(element_bytes);
    }
  }
  return bytes;
}

}  // namespace longspan
