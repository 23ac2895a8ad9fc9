#include "common/simulate/layer_traffic.h"

#include "common/base/check.h"
#include "common/model_spec/linear_layer_form.h"
#include "common/model_spec/precision.h"
#include "common/model_spec/projection_widths.h"

namespace longspan {
namespace {

// Numbers of a token: q, k, v (and as many of o), and the gates.
struct TokenWidths {
  int64_t query = 0;
  int64_t key = 0;
  int64_t value = 0;
  int64_t output = 0;
  int64_t gates = 0;
};

TokenWidths WidthsOf(LayerKind kind, const ModelSpec& model) {
  if (kind == LayerKind::kSoftmax) {
    const SoftmaxAttentionSpec& softmax = model.softmax;
    const int64_t query = softmax.heads * softmax.head_dim;
    const int64_t key = softmax.key_heads * softmax.head_dim;
    return {query, key, key, query, 0};
  }
  const ProjectionWidths widths = LinearProjectionWidths(model.linear);
  return {widths.key, widths.key, widths.value, widths.value,
          widths.log_gate + widths.beta};
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

LayerTraffic UlyssesTraffic(int64_t heads, const TokenShape& shape) {
  const int64_t bytes =
      shape.batch * shape.longest * heads * (shape.ranks - 1) / shape.ranks;
  // All tokens of a rank's share of the heads.
  return {
      {2, bytes}, {2, bytes}, shape.batch * shape.tokens * heads / shape.ranks};
}

LayerTraffic MegatronTraffic(int64_t hidden, const TokenShape& shape) {
  const int64_t whole =
      shape.batch * shape.tokens * hidden * shape.element_bytes;
  const int64_t bytes = whole / shape.ranks * (shape.ranks - 1);
  return {{2, 2 * bytes}, {3, 3 * bytes}, whole};
}

}  // namespace

int64_t KeyValueBytes(LayerKind kind, const ModelSpec& model,
                      int64_t element_bytes) {
  const TokenWidths widths = WidthsOf(kind, model);
  return (widths.key + widths.value) * element_bytes +
         widths.gates * AccumulatorBytes(element_bytes);
}

int64_t HeadBytes(LayerKind kind, const ModelSpec& model,
                  int64_t element_bytes) {
  const TokenWidths widths = WidthsOf(kind, model);
  return KeyValueBytes(kind, model, element_bytes) +
         (widths.query + widths.output) * element_bytes;
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
    case ExchangeMethod::kUlysses:
      return UlyssesTraffic(HeadBytes(kind, model, unit), shape);
    case ExchangeMethod::kMegatronSp:
      return MegatronTraffic(model.hidden_size, shape);
    default:
      LONGSPAN_CHECK(false) << "sends states";
      return {};
  }
}

}  // namespace longspan
