#include "common/model_spec/model_cost.h"

#include <algorithm>
#include <string>

#include "common/model_spec/linear_layer_form.h"
#include "common/model_spec/parameter_layout.h"

namespace longspan {
namespace {

// The learned matrices of a feature map, per token: every head of q and of k
// goes through them, whatever it shares them with.
double FeatureMapFlops(const LinearAttentionSpec& linear) {
  double flops = 0;
  const LinearLayerForm form = FormOf(linear);
  for (const MapParameter& map :
       MapParameters(form.feature_map, linear.key_dim)) {
    if (map.columns > 0) flops += 2.0 * map.count();
  }
  return 2.0 * linear.key_heads * flops;
}

bool IsOfFeatureMap(const std::string& name) {
  return name.find(".feature_map") != std::string::npos;
}

// Scores and values over the keys that a token sees on average.
double SoftmaxAttentionFlops(const SoftmaxAttentionSpec& softmax,
                             int64_t context_tokens) {
  double keys = context_tokens / 2.0;
  if (softmax.window > 0) keys = std::min(keys, double(softmax.window));
  return SoftmaxFlopsPerPair(softmax) * keys;
}

}  // namespace

// The causal half of the products inside a chunk. The delta rule besides:
// k k^T, the triangular system for k and v, and what the state knows of k.
LinearAttentionFlops LinearFlopsPerToken(const LinearAttentionSpec& linear) {
  const LinearLayerForm form = FormOf(linear);
  const double key = static_cast<double>(form.features);
  const double value = static_cast<double>(form.columns);
  const double heads = static_cast<double>(linear.heads);
  LinearAttentionFlops flops = {heads * 64.0 * (key + value),
                                heads * 2.0 * key * value,
                                heads * 2.0 * key * value};
  if (form.delta) {
    flops.intra += heads * 64.0 * (2.0 * key + value);
    flops.state += heads * 2.0 * key * value;
  }
  return flops;
}

double SoftmaxFlopsPerPair(const SoftmaxAttentionSpec& softmax) {
  return 4.0 * softmax.heads * softmax.head_dim;
}

double ForwardFlopsPerToken(const ModelSpec& spec, int64_t context_tokens) {
  double flops = 0;
  for (const ParameterInfo& info : LayoutParameters(spec).parameters) {
    const bool is_matrix = info.shape.size() == 2;
    const bool is_table = info.name == "model.embeddings.weight" ||
                          info.name == "model.lower_bounds";
    if (is_matrix && !is_table && !IsOfFeatureMap(info.name)) {
      flops += 2.0 * info.count;
    }
  }
  if (spec.tie_embeddings) {
    flops += 2.0 * spec.vocabulary_size * spec.hidden_size;
  }
  for (int64_t layer = 0; layer < spec.layer_count; ++layer) {
    flops += LayerKindAt(spec, layer) == LayerKind::kLinear
                 ? LinearFlopsPerToken(spec.linear).total() +
                       FeatureMapFlops(spec.linear)
                 : SoftmaxAttentionFlops(spec.softmax, context_tokens);
  }
  return flops;
}

double TrainFlopsPerToken(const ModelSpec& spec, int64_t context_tokens) {
  return 3.0 * ForwardFlopsPerToken(spec, context_tokens);
}

}  // namespace longspan
