#include "common/model_spec/parameter_layout.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"

namespace longspan {
namespace {

class Builder {
 public:
  explicit Builder(const ModelSpec& spec) : spec_(spec) {}

  // The next parameter starts a new group.
  void StartGroup() {
    layout_.total = (layout_.total + kParameterAlignment - 1) /
                    kParameterAlignment * kParameterAlignment;
  }

  void Matrix(std::string name, int64_t out, int64_t in) {
    Add({std::move(name),
         {out, in},
         0,
         0,
         InitialValue::kNormal,
         Scale(in),
         true});
  }

  // A matrix whose output is added to the residual stream.
  void OutputMatrix(std::string name, int64_t out, int64_t in) {
    StartGroup();
    if (spec_.output_initializer == OutputInitializer::kZero) {
      Add({std::move(name), {out, in}, 0, 0, InitialValue::kZero, 0.0, true});
      return;
    }
    const double scale = Scale(in) / std::sqrt(2.0 * spec_.layer_count);
    Add({std::move(name), {out, in}, 0, 0, InitialValue::kNormal, scale, true});
  }

  // Depthwise convolution; the spread of a uniform start in +-1/sqrt(K).
  void Convolution(std::string name, int64_t channels, int64_t kernel) {
    Add({std::move(name),
         {channels, 1, kernel},
         0,
         0,
         InitialValue::kNormal,
         1.0 / std::sqrt(3.0 * kernel),
         false});
  }

  void Vector(std::string name, int64_t size, InitialValue initial) {
    StartGroup();
    Add({std::move(name), {size}, 0, 0, initial, 0.0, false});
  }

  ParameterLayout Finish() {
    StartGroup();
    return std::move(layout_);
  }

 private:
  double Scale(int64_t in) const {
    return spec_.initializer_scale > 0 ? spec_.initializer_scale
                                       : 1.0 / std::sqrt(double(in));
  }

  void Add(ParameterInfo info) {
    info.offset = layout_.total;
    info.count = 1;
    for (int64_t size : info.shape) info.count *= size;
    layout_.total += info.count;
    layout_.parameters.push_back(std::move(info));
  }

  const ModelSpec& spec_;
  ParameterLayout layout_;
};

void AddLinearAttention(const ModelSpec& spec, const std::string& attn,
                        Builder& builder) {
  const LinearAttentionSpec& linear = spec.linear;
  const int64_t d = spec.hidden_size;
  const int64_t key = linear.heads * linear.key_dim;
  const int64_t value = linear.heads * linear.value_dim;
  const bool gated = linear.mixer == LinearMixer::kSimpleGla;
  builder.StartGroup();
  builder.Matrix(attn + "q_proj.weight", key, d);
  builder.Matrix(attn + "k_proj.weight", key, d);
  builder.Matrix(attn + "v_proj.weight", value, d);
  if (linear.output_gate) builder.Matrix(attn + "g_proj.weight", value, d);
  if (gated) {
    builder.Matrix(attn + "gk_proj.weight", linear.heads, d);
    builder.Vector(attn + "gk_proj.bias", linear.heads, InitialValue::kZero);
  }
  if (linear.short_convolution > 0) {
    builder.StartGroup();
    const int64_t kernel = linear.short_convolution;
    builder.Convolution(attn + "q_conv1d.weight", key, kernel);
    builder.Convolution(attn + "k_conv1d.weight", key, kernel);
    builder.Convolution(attn + "v_conv1d.weight", value, kernel);
  }
  builder.Vector(attn + (linear.output_gate ? "g_norm_swish_gate.weight"
                                            : "g_norm.weight"),
                 linear.value_dim, InitialValue::kOne);
  builder.OutputMatrix(attn + "o_proj.weight", d, value);
}

void AddSoftmaxAttention(const ModelSpec& spec, const std::string& attn,
                         Builder& builder) {
  const SoftmaxAttentionSpec& softmax = spec.softmax;
  const int64_t d = spec.hidden_size;
  const int64_t query = softmax.heads * softmax.head_dim;
  const int64_t key = softmax.key_heads * softmax.head_dim;
  builder.StartGroup();
  builder.Matrix(attn + "q_proj.weight", query, d);
  builder.Matrix(attn + "k_proj.weight", key, d);
  builder.Matrix(attn + "v_proj.weight", key, d);
  builder.OutputMatrix(attn + "o_proj.weight", d, query);
}

void AddLayer(const ModelSpec& spec, int64_t layer, Builder& builder) {
  const std::string prefix = absl::StrCat("model.layers.", layer, ".");
  const int64_t d = spec.hidden_size;
  builder.Vector(prefix + "attn_norm.weight", d, InitialValue::kOne);
  if (LayerKindAt(spec, layer) == LayerKind::kLinear) {
    AddLinearAttention(spec, prefix + "attn.", builder);
  } else {
    AddSoftmaxAttention(spec, prefix + "attn.", builder);
  }
  builder.Vector(prefix + "mlp_norm.weight", d, InitialValue::kOne);
  builder.StartGroup();
  const int64_t inner = spec.mlp.intermediate_size;
  builder.Matrix(prefix + "mlp.gate_proj.weight", inner, d);
  builder.Matrix(prefix + "mlp.up_proj.weight", inner, d);
  builder.OutputMatrix(prefix + "mlp.down_proj.weight", d, inner);
}

}  // namespace

const ParameterInfo* ParameterLayout::Find(std::string_view name) const {
  for (const ParameterInfo& info : parameters) {
    if (info.name == name) return &info;
  }
  return nullptr;
}

ParameterLayout LayoutParameters(const ModelSpec& spec) {
  Builder builder(spec);
  builder.StartGroup();
  builder.Matrix("model.embeddings.weight", spec.vocabulary_size,
                 spec.hidden_size);
  for (int64_t layer = 0; layer < spec.layer_count; ++layer) {
    AddLayer(spec, layer, builder);
  }
  builder.Vector("model.norm.weight", spec.hidden_size, InitialValue::kOne);
  if (!spec.tie_embeddings) {
    builder.StartGroup();
    builder.Matrix("lm_head.weight", spec.vocabulary_size, spec.hidden_size);
  }
  return builder.Finish();
}

int64_t ParameterCount(const ModelSpec& spec) {
  int64_t count = 0;
  for (const ParameterInfo& info : LayoutParameters(spec).parameters) {
    count += info.count;
  }
  return count;
}

}  // namespace longspan
