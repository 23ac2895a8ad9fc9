#include "common/model_spec/linear_layer_form.h"

#include <cmath>

namespace longspan {
namespace {

// Rank of the projection behind a gate per channel.
constexpr int64_t kGateRank = 16;

void Decay(StateDecay decay, LinearLayerForm& form) {
  form.decay = decay;
  if (decay == StateDecay::kPerChannel) form.gate_rank = kGateRank;
}

// A layer whose maps stand for softmax: normalised sums go straight to o_proj.
void Kernel(FeatureMap map, double epsilon, LinearLayerForm& form) {
  form.feature_map = map;
  form.normalised = true;
  form.normaliser_epsilon = epsilon;
  form.output = OutputStage::kPlain;
  form.output_gate = false;
}

void Lawcat(LinearLayerForm& form) {
  Kernel(FeatureMap::kHedgehogHalves, 1e-6, form);
  Decay(StateDecay::kPerChannel, form);
  form.shared_map = true;
  form.convolves_values = false;
  form.convolution_silu = false;
}

void Delta(StateDecay decay, LinearLayerForm& form) {
  form.decay = decay;
  form.gate = DecayGateKind::kSoftplus;
  form.delta = true;
  form.feature_map = FeatureMap::kUnit;
  form.needs_convolution = true;
}

// Both low ranks are the size of a head's values.
void Kda(int64_t value_dim, LinearLayerForm& form) {
  Delta(StateDecay::kPerChannel, form);
  form.gate_rank = value_dim;
  form.output = OutputStage::kSigmoidGate;
  form.output_gate = true;
  form.output_gate_rank = value_dim;
}

void Hgrn2(LinearLayerForm& form) {
  form.decay = StateDecay::kPerChannel;
  form.gate = DecayGateKind::kForget;
  form.feature_map = FeatureMap::kSilu;
  form.output = OutputStage::kWholeNorm;
  form.output_gate = false;
  form.convolution_silu = false;
}

void Mamba2(LinearLayerForm& form) {
  form.decay = StateDecay::kPerHead;
  form.gate = DecayGateKind::kSoftplus;
  form.state_space = true;
  form.output = OutputStage::kGatedThenNorm;
  form.output_gate = true;
  form.needs_convolution = true;
}

// fla's variant unless another one is asked for.
FeatureMap HedgehogOf(FeatureMap asked) {
  return asked == FeatureMap::kHedgehogExp ||
                 asked == FeatureMap::kHedgehogHalves
             ? asked
             : FeatureMap::kHedgehogSoftmax;
}

void Describe(const LinearAttentionSpec& linear, LinearLayerForm& form) {
  switch (linear.mixer) {
    case LinearMixer::kBasic:
      return;
    case LinearMixer::kLightning:
      return Decay(StateDecay::kConstant, form);
    case LinearMixer::kRetention:
      form.rotary = true;
      return Decay(StateDecay::kConstant, form);
    case LinearMixer::kSimpleGla:
      return Decay(StateDecay::kPerHead, form);
    case LinearMixer::kGla:
      return Decay(StateDecay::kPerChannel, form);
    case LinearMixer::kBased:
      return Kernel(FeatureMap::kTaylor, 1e-12, form);
    case LinearMixer::kRebased:
      form.shared_map = true;
      return Kernel(FeatureMap::kQuadratic, 1e-5, form);
    case LinearMixer::kHedgehog:
      return Kernel(HedgehogOf(linear.feature_map), 1e-6, form);
    case LinearMixer::kLawcat:
      return Lawcat(form);
    case LinearMixer::kDeltaNet:
      return Delta(StateDecay::kNone, form);
    case LinearMixer::kGatedDeltaNet:
      return Delta(StateDecay::kPerHead, form);
    case LinearMixer::kKda:
      return Kda(linear.value_dim, form);
    case LinearMixer::kHgrn2:
      return Hgrn2(form);
    case LinearMixer::kMamba2:
      return Mamba2(form);
  }
}

// Rows of a state for heads of `d`.
int64_t FeaturesOf(FeatureMap map, int64_t d) {
  switch (map) {
    case FeatureMap::kTaylor:
      return 1 + d + d * (d + 1) / 2;
    case FeatureMap::kQuadratic:
      return d * (d + 1) / 2;
    case FeatureMap::kHedgehogExp:
    case FeatureMap::kHedgehogSoftmax:
    case FeatureMap::kHedgehogHalves:
      return 2 * d;
    case FeatureMap::kDpfp:
      return 8 * d;
    default:
      return d;
  }
}

// The polynomial maps hold the 1 / sqrt(d) of their scores.
double ScaleOf(FeatureMap map, int64_t features) {
  if (map == FeatureMap::kTaylor || map == FeatureMap::kQuadratic) return 1.0;
  return 1.0 / std::sqrt(static_cast<double>(features));
}

}  // namespace

LinearLayerForm FormOf(const LinearAttentionSpec& linear) {
  LinearLayerForm form;
  form.feature_map = linear.feature_map;
  form.normalised = linear.normaliser;
  form.normaliser_epsilon = 1e-10;
  form.output_gate = linear.output_gate;
  Describe(linear, form);
  form.features = FeaturesOf(form.feature_map, linear.key_dim);
  form.columns = linear.value_dim + (form.normalised ? 1 : 0);
  form.scale =
      form.state_space ? 1.0 : ScaleOf(form.feature_map, form.features);
  return form;
}

int64_t OutputNormSize(const LinearAttentionSpec& linear) {
  switch (FormOf(linear).output) {
    case OutputStage::kWholeNorm:
      return linear.value_dim * linear.heads;
    case OutputStage::kGatedThenNorm:
      return linear.value_dim * linear.heads / linear.key_heads;
    default:
      return linear.value_dim;
  }
}

int64_t OutputNormWeights(const LinearAttentionSpec& linear) {
  const OutputStage output = FormOf(linear).output;
  const bool own = output == OutputStage::kWholeNorm ||
                   output == OutputStage::kGatedThenNorm;
  return linear.value_dim * (own ? linear.heads : 1);
}

int64_t ConvolutionParameters(const LinearAttentionSpec& linear) {
  return linear.short_convolution + (linear.convolution_bias ? 1 : 0);
}

int64_t GateWidth(const LinearAttentionSpec& linear) {
  const LinearLayerForm form = FormOf(linear);
  if (form.decay == StateDecay::kPerHead) return linear.heads;
  if (form.decay == StateDecay::kPerChannel) {
    return linear.heads * form.features;
  }
  return 0;
}

kernels::LinearAttentionDecay DecayKind(const LinearLayerForm& form) {
  using kernels::LinearAttentionDecay;
  if (form.delta) return LinearAttentionDecay::kMatrix;
  return form.decay == StateDecay::kPerChannel ? LinearAttentionDecay::kChannel
                                               : LinearAttentionDecay::kHead;
}

int64_t RangeDecayCount(const LinearAttentionSpec& linear) {
  const LinearLayerForm form = FormOf(linear);
  switch (DecayKind(form)) {
    case kernels::LinearAttentionDecay::kMatrix:
      return linear.heads * form.features * form.features;
    case kernels::LinearAttentionDecay::kChannel:
      return linear.heads * form.features;
    default:
      return linear.heads;
  }
}

bool RangeDecayTravels(const LinearLayerForm& form) {
  return form.delta || form.decay == StateDecay::kPerHead ||
         form.decay == StateDecay::kPerChannel;
}

std::vector<MapParameter> MapParameters(FeatureMap map, int64_t key_dim) {
  const int64_t d = key_dim;
  switch (map) {
    case FeatureMap::kQuadratic:
      return {{"gamma", d, 0, InitialValue::kOne},
              {"beta", d, 0, InitialValue::kZero}};
    case FeatureMap::kHedgehogExp:
    case FeatureMap::kHedgehogSoftmax:
      return {{"layer.weight", d, d, InitialValue::kUnitMatrix},
              {"layer.bias", d, 0, InitialValue::kZero}};
    case FeatureMap::kHedgehogHalves:
      return {{"layer.weight", d, d, InitialValue::kUnitMatrix}};
    case FeatureMap::kHadamard:
      return {{"layer1.weight", d, d, InitialValue::kNormal},
              {"layer1.bias", d, 0, InitialValue::kZero},
              {"layer2.weight", d, d, InitialValue::kNormal},
              {"layer2.bias", d, 0, InitialValue::kZero}};
    default:
      return {};
  }
}

std::vector<std::string> MapPrefixes(const LinearLayerForm& form) {
  if (form.shared_map) return {"feature_map."};
  return {"feature_map_q.", "feature_map_k."};
}

}  // namespace longspan
