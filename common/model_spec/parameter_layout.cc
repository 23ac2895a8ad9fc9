#include "common/model_spec/parameter_layout.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/divide.h"
#include "common/model_spec/linear_layer_form.h"
#include "common/model_spec/linear_layer_names.h"

namespace longspan {
namespace {

class Builder {
 public:
  explicit Builder(const ModelSpec& spec) : spec_(spec) {}

  // The next parameter starts a new group.
  void StartGroup() {
    layout_.total = RoundUp(layout_.total, kParameterAlignment);
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

  // Biases that share an input are neighbours, too.
  void Bias(std::string name, int64_t size) {
    Add({std::move(name), {size}, 0, 0, InitialValue::kZero, 0.0, false});
  }

  // A table that is no matrix of a product.
  void Table(std::string name, int64_t rows, int64_t columns) {
    StartGroup();
    Add({std::move(name),
         {rows, columns},
         0,
         0,
         InitialValue::kZero,
         0.0,
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

// What the gate has beside its columns of the input projection.
void AddGate(const LinearAttentionSpec& linear, const std::string& attn,
             Builder& builder) {
  const LinearLayerForm form = FormOf(linear);
  const LinearLayerNames names = NamesOf(linear);
  const int64_t width = GateWidth(linear);
  if (width == 0 || form.gate == DecayGateKind::kForget) return;
  if (form.gate_rank > 0) {
    builder.StartGroup();
    builder.Matrix(attn + names.gate_expansion, width, form.gate_rank);
  }
  const bool softplus = form.gate == DecayGateKind::kSoftplus;
  if (softplus) {
    builder.Vector(attn + "A_log", linear.heads, InitialValue::kLogRate);
  }
  builder.Vector(attn + names.gate_bias, width,
                 softplus ? InitialValue::kTimeStep : InitialValue::kZero);
}

void AddQkv(const ModelSpec& spec, const std::string& attn, Builder& builder) {
  const LinearAttentionSpec& linear = spec.linear;
  builder.StartGroup();
  for (const NamedRows& matrix : InputProjections(linear)) {
    builder.Matrix(attn + matrix.name, matrix.rows, spec.hidden_size);
  }
  AddGate(linear, attn, builder);
  builder.StartGroup();
  for (const NamedRows& part : Convolutions(linear)) {
    builder.Convolution(attn + part.name, part.rows, linear.short_convolution);
  }
  builder.StartGroup();
  for (const NamedRows& part : ConvolutionBiases(linear)) {
    builder.Bias(attn + part.name, part.rows);
  }
  const LinearLayerForm form = FormOf(linear);
  for (const std::string& prefix : MapPrefixes(form)) {
    for (const MapParameter& part :
         MapParameters(form.feature_map, linear.key_dim)) {
      builder.Map(attn + prefix, part);
    }
  }
}

// Between the heads and the output projection.
void AddOutputStage(const LinearAttentionSpec& linear, const std::string& attn,
                    Builder& builder) {
  const LinearLayerForm form = FormOf(linear);
  const LinearLayerNames names = NamesOf(linear);
  const int64_t value = linear.heads * linear.value_dim;
  if (form.state_space) {
    builder.Vector(attn + "D", linear.heads, InitialValue::kOne);
  }
  if (form.output_gate_rank > 0) {
    const std::string gate = attn + names.output_gate_expansion;
    builder.StartGroup();
    builder.Matrix(gate + ".weight", value, form.output_gate_rank);
    builder.Vector(gate + ".bias", value, InitialValue::kZero);
  }
  if (form.output == OutputStage::kPlain) return;
  builder.Vector(attn + names.output_norm, OutputNormWeights(linear),
                 InitialValue::kOne);
}

void AddLinearAttention(const ModelSpec& spec, const std::string& attn,
                        Builder& builder) {
  const LinearAttentionSpec& linear = spec.linear;
  AddQkv(spec, attn, builder);
  AddOutputStage(linear, attn, builder);
  builder.OutputMatrix(attn + NamesOf(linear).output, spec.hidden_size,
                       linear.heads * linear.value_dim);
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
  const std::string prefix = LayerPrefix(layer);
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

std::string LayerPrefix(int64_t layer) {
  return absl::StrCat("model.layers.", layer, ".");
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
  const bool linear = spec.layer_pattern.find('L') != std::string::npos;
  if (linear && spec.linear.use_lower_bound) {
    builder.Table("model.lower_bounds", spec.layer_count,
                  GateWidth(spec.linear));
  }
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
