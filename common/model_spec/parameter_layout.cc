#include "common/model_spec/parameter_layout.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/model_spec/linear_layer_form.h"
#include "common/model_spec/projection_widths.h"

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

  // A learned part of a feature map, small and not decayed.
  void Map(const std::string& prefix, const MapParameter& part) {
    StartGroup();
    std::vector<int64_t> shape = {part.rows};
    if (part.columns > 0) shape.push_back(part.columns);
    const bool normal = part.initial == InitialValue::kNormal;
    Add({prefix + part.name, std::move(shape), 0, 0, part.initial,
         normal ? 1.0 / std::sqrt(double(part.columns)) : 0.0, false});
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

// The matrix that makes the decay columns of the input projection.
const char* DecayProjection(const LinearLayerForm& form) {
  if (form.softplus) return "a_proj.weight";
  return form.decay == StateDecay::kPerChannel ? "gk_proj.0.weight"
                                               : "gk_proj.weight";
}

// What the gate has beside its columns of the input projection.
void AddGate(const LinearAttentionSpec& linear, const std::string& attn,
             Builder& builder) {
  const LinearLayerForm form = FormOf(linear);
  const int64_t width = GateWidth(linear);
  if (width == 0) return;
  if (form.softplus) {
    builder.Vector(attn + "A_log", linear.heads, InitialValue::kLogRate);
    builder.Vector(attn + "dt_bias", width, InitialValue::kTimeStep);
  } else if (form.decay == StateDecay::kPerChannel) {
    builder.StartGroup();
    builder.Matrix(attn + "gk_proj.1.weight", width, kGateRank);
    builder.Vector(attn + "gk_proj.1.bias", width, InitialValue::kZero);
  } else {
    builder.Vector(attn + "gk_proj.bias", width, InitialValue::kZero);
  }
}

void AddInputProjection(const ModelSpec& spec, const std::string& attn,
                        Builder& builder) {
  const ProjectionWidths widths = LinearProjectionWidths(spec.linear);
  const int64_t d = spec.hidden_size;
  builder.StartGroup();
  builder.Matrix(attn + "q_proj.weight", widths.key, d);
  builder.Matrix(attn + "k_proj.weight", widths.key, d);
  builder.Matrix(attn + "v_proj.weight", widths.value, d);
  if (widths.gate > 0) builder.Matrix(attn + "g_proj.weight", widths.gate, d);
  if (widths.decay > 0) {
    builder.Matrix(attn + DecayProjection(FormOf(spec.linear)), widths.decay,
                   d);
  }
  if (widths.beta > 0) builder.Matrix(attn + "b_proj.weight", widths.beta, d);
}

void AddLinearAttention(const ModelSpec& spec, const std::string& attn,
                        Builder& builder) {
  const LinearAttentionSpec& linear = spec.linear;
  const int64_t d = spec.hidden_size;
  const int64_t key = linear.heads * linear.key_dim;
  const int64_t value = linear.heads * linear.value_dim;
  const LinearLayerForm form = FormOf(linear);
  AddInputProjection(spec, attn, builder);
  AddGate(linear, attn, builder);
  if (linear.short_convolution > 0) {
    builder.StartGroup();
    const int64_t kernel = linear.short_convolution;
    builder.Convolution(attn + "q_conv1d.weight", key, kernel);
    builder.Convolution(attn + "k_conv1d.weight", key, kernel);
    if (form.convolves_values) {
      builder.Convolution(attn + "v_conv1d.weight", value, kernel);
    }
  }
  for (const std::string& prefix : MapPrefixes(form)) {
    for (const MapParameter& part :
         MapParameters(form.feature_map, linear.key_dim)) {
      builder.Map(attn + prefix, part);
    }
  }
  if (form.head_norm) {
    builder.Vector(attn + HeadNormName(linear), linear.value_dim,
                   InitialValue::kOne);
  }
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

std::string HeadNormName(const LinearAttentionSpec& linear) {
  if (FormOf(linear).delta) return "o_norm.weight";
  if (linear.output_gate) return "g_norm_swish_gate.weight";
  return linear.mixer == LinearMixer::kBasic ? "norm.weight" : "g_norm.weight";
}

std::string LastInputProjection(const LinearAttentionSpec& linear) {
  const LinearLayerForm form = FormOf(linear);
  if (form.delta) return "b_proj.weight";
  if (GateWidth(linear) > 0) return DecayProjection(form);
  return linear.output_gate ? "g_proj.weight" : "v_proj.weight";
}

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
