#include "tests/worker/model/test_specs.h"

namespace longspan::testing {

ModelSpec SmallSpec(LinearMixer mixer, const std::string& pattern) {
  ModelSpec spec;
  spec.vocabulary_size = 19;
  spec.hidden_size = 12;
  spec.layer_count = static_cast<int64_t>(pattern.size());
  spec.layer_pattern = pattern;
  spec.linear.mixer = mixer;
  spec.linear.heads = 2;
  spec.linear.key_dim = 4;
  spec.linear.value_dim = 6;
  spec.softmax.heads = 4;
  spec.softmax.key_heads = 2;
  spec.softmax.head_dim = 4;
  spec.mlp.intermediate_size = 20;
  spec.initializer_scale = 0.3;
  return ResolveDefaults(spec);
}

namespace {

// The bare form: no convolution, no output gate.
ModelSpec PlainSpec(LinearMixer mixer, const std::string& pattern) {
  ModelSpec spec = SmallSpec(mixer, pattern);
  spec.linear.short_convolution = 0;
  spec.linear.output_gate = false;
  return spec;
}

ModelSpec MappedSpec(FeatureMap map, bool normaliser) {
  ModelSpec spec = PlainSpec(LinearMixer::kBasic, "L");
  spec.linear.feature_map = map;
  spec.linear.normaliser = normaliser;
  return spec;
}

// The published layers beyond one decay a head.
void AddPublished(std::vector<NamedSpec>& specs) {
  specs.push_back({"gla", SmallSpec(LinearMixer::kGla, "LL")});
  ModelSpec gla = PlainSpec(LinearMixer::kGla, "LN");
  gla.linear.feature_map = FeatureMap::kRelu;
  specs.push_back({"gla_hybrid", gla});
  // Based with the window softmax that it comes with.
  ModelSpec based = PlainSpec(LinearMixer::kBased, "LN");
  based.softmax.window = 5;
  specs.push_back({"based", based});
  // (q k^T)^2 of a text's first token may come near 0, where the quotient is
  // too steep for central differences; with this size it does not.
  ModelSpec rebased = PlainSpec(LinearMixer::kRebased, "L");
  rebased.linear.key_dim = 8;
  specs.push_back({"rebased", rebased});
  specs.push_back({"hedgehog", PlainSpec(LinearMixer::kHedgehog, "LL")});
  ModelSpec paper = PlainSpec(LinearMixer::kHedgehog, "L");
  paper.linear.feature_map = FeatureMap::kHedgehogExp;
  specs.push_back({"hedgehog_exp", paper});
  ModelSpec lawcat = PlainSpec(LinearMixer::kLawcat, "LL");
  lawcat.linear.short_convolution = 4;
  specs.push_back({"lawcat", lawcat});
  specs.push_back({"deltanet", SmallSpec(LinearMixer::kDeltaNet, "LL")});
  specs.push_back(
      {"gated_deltanet", SmallSpec(LinearMixer::kGatedDeltaNet, "LN")});
  ModelSpec signed_delta = SmallSpec(LinearMixer::kDeltaNet, "L");
  signed_delta.linear.allow_neg_eigval = true;
  specs.push_back({"deltanet_signed", signed_delta});
  ModelSpec signed_kda = SmallSpec(LinearMixer::kKda, "LN");
  signed_kda.linear.allow_neg_eigval = true;
  specs.push_back({"kda_signed", signed_kda});
  specs.push_back({"kda", SmallSpec(LinearMixer::kKda, "LL")});
  specs.push_back({"hgrn2", PlainSpec(LinearMixer::kHgrn2, "LL")});
  ModelSpec bounded = PlainSpec(LinearMixer::kHgrn2, "LNL");
  bounded.linear.use_lower_bound = true;
  specs.push_back({"hgrn2_bounded", bounded});
  ModelSpec hgrn2 = PlainSpec(LinearMixer::kHgrn2, "L");
  hgrn2.linear.short_convolution = 4;
  specs.push_back({"hgrn2_convolved", hgrn2});
  ModelSpec mamba2 = SmallSpec(LinearMixer::kMamba2, "LL");
  mamba2.linear.heads = 4;  // over one head of B and C
  specs.push_back({"mamba2", mamba2});
  mamba2.linear.key_heads = 2;  // and a norm for the heads of each
  mamba2.linear.convolution_bias = true;
  specs.push_back({"mamba2_groups", mamba2});
  ModelSpec biased = SmallSpec(LinearMixer::kSimpleGla, "LN");
  biased.linear.convolution_bias = true;
  specs.push_back({"simple_gla_convolution_bias", biased});
  // Values of two heads on each key, and on each map of a key.
  ModelSpec grouped = SmallSpec(LinearMixer::kGatedDeltaNet, "L");
  grouped.linear.heads = 4;
  grouped.linear.key_heads = 2;
  specs.push_back({"gated_deltanet_grouped", grouped});
}

// Maps that a layer asks for, with and without the normaliser.
void AddMapped(std::vector<NamedSpec>& specs) {
  specs.push_back({"elu_normalised", MappedSpec(FeatureMap::kElu, true)});
  specs.push_back({"hadamard", MappedSpec(FeatureMap::kHadamard, false)});
  specs.push_back({"dpfp_normalised", MappedSpec(FeatureMap::kDpfp, true)});
  ModelSpec decayed = SmallSpec(LinearMixer::kLightning, "L");
  decayed.linear.feature_map = FeatureMap::kSoftmax;
  decayed.linear.normaliser = true;
  specs.push_back({"lightning_softmax_normalised", decayed});
}

}  // namespace

std::vector<NamedSpec> AllSmallSpecs() {
  std::vector<NamedSpec> specs;
  for (LinearMixer mixer : {LinearMixer::kBasic, LinearMixer::kLightning,
                            LinearMixer::kRetention, LinearMixer::kSimpleGla}) {
    specs.push_back(
        {std::string(LinearMixerName(mixer)), SmallSpec(mixer, "LL")});
  }
  ModelSpec plain = SmallSpec(LinearMixer::kBasic, "LL");
  plain.linear.short_convolution = 0;
  plain.linear.output_gate = false;
  plain.linear.feature_map = FeatureMap::kSilu;
  plain.tie_embeddings = true;
  specs.push_back({"basic_plain", plain});
  ModelSpec rotary = SmallSpec(LinearMixer::kRetention, "L");
  rotary.linear.short_convolution = 0;
  rotary.linear.feature_map = FeatureMap::kIdentity;
  specs.push_back({"retention_plain", rotary});
  ModelSpec mapped = SmallSpec(LinearMixer::kSimpleGla, "LL");
  mapped.linear.feature_map = FeatureMap::kSilu;
  mapped.linear.short_convolution = 2;
  specs.push_back({"gla_mapped", mapped});
  specs.push_back({"softmax", SmallSpec(LinearMixer::kBasic, "NN")});
  ModelSpec window = SmallSpec(LinearMixer::kSimpleGla, "NL");
  window.softmax.window = 5;
  specs.push_back({"window_hybrid", window});
  specs.push_back({"hybrid", SmallSpec(LinearMixer::kSimpleGla, "LNL")});
  AddPublished(specs);
  AddMapped(specs);
  return specs;
}

ModelSpec WithEightHeads(ModelSpec spec) {
  if (spec.linear.key_heads == spec.linear.heads) spec.linear.key_heads = 8;
  spec.linear.heads = 8;
  return spec;
}

}  // namespace longspan::testing
