#include "common/model_spec/linear_layer_names.h"

#include "common/model_spec/linear_layer_form.h"
#include "common/model_spec/projection_widths.h"

namespace longspan {
namespace {

bool IsKda(const LinearAttentionSpec& linear) {
  return linear.mixer == LinearMixer::kKda;
}

// q, k and v are called q, f and i in HGRN2.
std::string Letter(const LinearAttentionSpec& linear, char usual) {
  if (linear.mixer != LinearMixer::kHgrn2 || usual == 'q') return {usual};
  return usual == 'k' ? "f" : "i";
}

std::string DecayProjection(const LinearAttentionSpec& linear) {
  if (IsKda(linear)) return "f_proj.0.weight";
  const LinearLayerForm form = FormOf(linear);
  if (form.gate == DecayGateKind::kSoftplus) return "a_proj.weight";
  return form.gate_rank > 0 ? "gk_proj.0.weight" : "gk_proj.weight";
}

// "norm.weight" as in fla's linear_attn, "o_norm.weight" with the delta rule,
// else "g_norm.weight", or "g_norm_swish_gate.weight" with an output gate.
std::string OutputNormName(const LinearAttentionSpec& linear) {
  const LinearLayerForm form = FormOf(linear);
  if (form.delta) return "o_norm.weight";
  if (form.state_space) return "norm.weight";
  if (form.output_gate) return "g_norm_swish_gate.weight";
  return linear.mixer == LinearMixer::kBasic ? "norm.weight" : "g_norm.weight";
}

// Convolved parts, their names without what a parameter is called.
std::vector<NamedRows> ConvolvedParts(const LinearAttentionSpec& linear) {
  const ProjectionWidths widths = LinearProjectionWidths(linear);
  if (widths.convolved == 0) return {};
  const LinearLayerForm form = FormOf(linear);
  if (form.state_space) return {{"conv1d", widths.convolved}};
  std::vector<NamedRows> all = {{Letter(linear, 'q') + "_conv1d", widths.key},
                                {Letter(linear, 'k') + "_conv1d", widths.key}};
  if (form.convolves_values) {
    all.push_back({Letter(linear, 'v') + "_conv1d", widths.value});
  }
  return all;
}

std::vector<NamedRows> Called(const char* what, std::vector<NamedRows> parts) {
  for (NamedRows& part : parts) part.name += what;
  return parts;
}

}  // namespace

std::vector<NamedRows> InputProjections(const LinearAttentionSpec& linear) {
  const ProjectionWidths widths = LinearProjectionWidths(linear);
  if (FormOf(linear).state_space) return {{"in_proj.weight", widths.used()}};
  std::vector<NamedRows> all = {
      {Letter(linear, 'q') + "_proj.weight", widths.key},
      {Letter(linear, 'k') + "_proj.weight", widths.key},
      {Letter(linear, 'v') + "_proj.weight", widths.value}};
  if (widths.gate > 0) {
    all.push_back(
        {IsKda(linear) ? "g_proj.0.weight" : "g_proj.weight", widths.gate});
  }
  if (widths.decay > 0) all.push_back({DecayProjection(linear), widths.decay});
  if (widths.beta > 0) all.push_back({"b_proj.weight", widths.beta});
  return all;
}

std::vector<NamedRows> Convolutions(const LinearAttentionSpec& linear) {
  return Called(".weight", ConvolvedParts(linear));
}

std::vector<NamedRows> ConvolutionBiases(const LinearAttentionSpec& linear) {
  if (!linear.convolution_bias) return {};
  return Called(".bias", ConvolvedParts(linear));
}

LinearLayerNames NamesOf(const LinearAttentionSpec& linear) {
  const LinearLayerForm form = FormOf(linear);
  LinearLayerNames names;
  names.gate_expansion = IsKda(linear) ? "f_proj.1.weight" : "gk_proj.1.weight";
  names.gate_bias = form.gate_rank > 0 ? "gk_proj.1.bias" : "gk_proj.bias";
  if (form.gate == DecayGateKind::kSoftplus) names.gate_bias = "dt_bias";
  names.output_gate_expansion = "g_proj.1";
  names.output_norm = OutputNormName(linear);
  names.output = form.state_space ? "out_proj.weight" : "o_proj.weight";
  return names;
}

}  // namespace longspan
