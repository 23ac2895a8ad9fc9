#include "common/simulate/layer_traffic.h"

#include "common/base/check.h"
#include "common/model_spec/linear_layer_form.h"
#include "common/model_spec/precision.h"
#include "common/model_spec/projection_widths.h"

namespace longspan {
namespace {

// Numbers of a token: k, v and the gates.
struct TokenWidths {
  int64_t key = 0;
  int64_t value = 0;
  int64_t gates = 0;
};

TokenWidths WidthsOf(LayerKind kind, const ModelSpec& model) {
  if (kind == LayerKind::kSoftmax) {
    const int64_t key = model.softmax.key_heads * model.softmax.head_dim;
    return {key, key, 0};
  }
  const ProjectionWidths widths = LinearProjectionWidths(model.linear);
  return {widths.key, widths.value, widths.log_gate + widths.beta};
}

LayerTraffic RingTraffic(int64_t key_value, int64_t key_value_sums,
                         const TokenShape& shape) {
  const int64_t rows = shape.batch * shape.longest;
  const int64_t hops = shape.ranks - 1;
  return {{hops, hops * rows * key_value},
          {2 * hops + 1,
           hops * rows * key_value + shape.ranks * rows * key_value_sums},
          2 * rows * (key_value + key_value_sums)};
}

}  // namespace

int64_t KeyValueBytes(LayerKind kind, const ModelSpec& model,
                      int64_t element_bytes) {
  const TokenWidths widths = WidthsOf(kind, model);
  return (widths.key + widths.value) * element_bytes +
         widths.gates * AccumulatorBytes(element_bytes);
}

LayerTraffic TokenTraffic(ExchangeMethod method, LayerKind kind,
                          const ModelSpec& model, const TokenShape& shape) {
  const int64_t unit = shape.element_bytes;
  switch (method) {
    case ExchangeMethod::kRing:
    case ExchangeMethod::kRingLeft:
      return RingTraffic(KeyValueBytes(kind, model, unit),
                         KeyValueBytes(kind, model, AccumulatorBytes(unit)),
                         shape);
    default:
      LONGSPAN_CHECK(false) << "is the planner's";
      return {};
  }
}

}  // namespace longspan
