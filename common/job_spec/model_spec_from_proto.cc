#include "common/job_spec/model_spec_from_proto.h"

#include "longspan/v1/model.pb.h"

namespace longspan {
namespace {

// The wire's numbers of mixers and maps are those of the C++ enums, plus one
// for "not said" (checked below).
LinearMixer MixerFromProto(v1::LinearAttentionSpec::Mixer mixer) {
  if (mixer == v1::LinearAttentionSpec::MIXER_UNSPECIFIED ||
      !v1::LinearAttentionSpec::Mixer_IsValid(mixer)) {
    return LinearAttentionSpec().mixer;
  }
  return static_cast<LinearMixer>(mixer - 1);
}

v1::LinearAttentionSpec::Mixer MixerToProto(LinearMixer mixer) {
  return static_cast<v1::LinearAttentionSpec::Mixer>(static_cast<int>(mixer) +
                                                     1);
}

FeatureMap MapFromProto(v1::LinearAttentionSpec::FeatureMap map) {
  if (map == v1::LinearAttentionSpec::FEATURE_MAP_UNSPECIFIED ||
      !v1::LinearAttentionSpec::FeatureMap_IsValid(map)) {
    return FeatureMap::kIdentity;
  }
  return static_cast<FeatureMap>(map - 1);
}

v1::LinearAttentionSpec::FeatureMap MapToProto(FeatureMap map) {
  return static_cast<v1::LinearAttentionSpec::FeatureMap>(
      static_cast<int>(map) + 1);
}

static_assert(static_cast<int>(LinearMixer::kMamba2) + 1 ==
              v1::LinearAttentionSpec::MAMBA2);
static_assert(static_cast<int>(LinearMixer::kGla) + 1 ==
              v1::LinearAttentionSpec::GLA);
static_assert(static_cast<int>(FeatureMap::kTaylor) + 1 ==
              v1::LinearAttentionSpec::TAYLOR);
static_assert(static_cast<int>(FeatureMap::kUnit) + 1 ==
              v1::LinearAttentionSpec::UNIT);

LinearAttentionSpec LinearFromProto(const v1::LinearAttentionSpec& from) {
  LinearAttentionSpec to;
  to.mixer = MixerFromProto(from.mixer());
  to.heads = from.heads();
  to.key_heads = from.key_heads();
  to.key_dim = from.key_dim();
  to.value_dim = from.value_dim();
  to.feature_map = MapFromProto(from.feature_map());
  to.short_convolution = from.short_convolution();
  to.output_gate = from.output_gate();
  to.normaliser = from.normaliser();
  to.allow_neg_eigval = from.allow_neg_eigval();
  to.convolution_bias = from.convolution_bias();
  to.use_lower_bound = from.use_lower_bound();
  return to;
}

SoftmaxAttentionSpec SoftmaxFromProto(const v1::SoftmaxAttentionSpec& from) {
  SoftmaxAttentionSpec to;
  to.heads = from.heads();
  to.key_heads = from.key_heads();
  to.head_dim = from.head_dim();
  if (from.has_rotary_base()) to.rotary_base = from.rotary_base();
  to.window = from.window();
  return to;
}

void LinearToProto(const LinearAttentionSpec& from,
                   v1::LinearAttentionSpec* to) {
  to->set_mixer(MixerToProto(from.mixer));
  to->set_heads(static_cast<int32_t>(from.heads));
  to->set_key_heads(static_cast<int32_t>(from.key_heads));
  to->set_key_dim(static_cast<int32_t>(from.key_dim));
  to->set_value_dim(static_cast<int32_t>(from.value_dim));
  to->set_feature_map(MapToProto(from.feature_map));
  to->set_short_convolution(static_cast<int32_t>(from.short_convolution));
  to->set_output_gate(from.output_gate);
  to->set_normaliser(from.normaliser);
  to->set_allow_neg_eigval(from.allow_neg_eigval);
  to->set_convolution_bias(from.convolution_bias);
  to->set_use_lower_bound(from.use_lower_bound);
}

void SoftmaxToProto(const SoftmaxAttentionSpec& from,
                    v1::SoftmaxAttentionSpec* to) {
  to->set_heads(static_cast<int32_t>(from.heads));
  to->set_key_heads(static_cast<int32_t>(from.key_heads));
  to->set_head_dim(static_cast<int32_t>(from.head_dim));
  to->set_rotary_base(from.rotary_base);
  to->set_window(from.window);
}

}  // namespace

ModelSpec ModelSpecFromProto(const v1::ModelSpec& from) {
  ModelSpec to;
  if (from.vocabulary_size() != 0) to.vocabulary_size = from.vocabulary_size();
  to.hidden_size = from.hidden_size();
  to.layer_count = from.layer_count();
  to.layer_pattern = from.layer_pattern();
  to.softmax_layers.assign(from.softmax_layers().begin(),
                           from.softmax_layers().end());
  to.linear = LinearFromProto(from.linear());
  to.softmax = SoftmaxFromProto(from.softmax());
  to.mlp.intermediate_size = from.mlp().intermediate_size();
  if (from.has_norm_epsilon()) to.norm_epsilon = from.norm_epsilon();
  to.tie_embeddings = from.tie_embeddings();
  if (from.has_initializer_scale()) {
    to.initializer_scale = from.initializer_scale();
  }
  return to;
}

void ModelSpecToProto(const ModelSpec& from, v1::ModelSpec* to) {
  to->set_vocabulary_size(static_cast<int32_t>(from.vocabulary_size));
  to->set_hidden_size(static_cast<int32_t>(from.hidden_size));
  to->set_layer_count(static_cast<int32_t>(from.layer_count));
  to->set_layer_pattern(from.layer_pattern);
  to->clear_softmax_layers();
  for (int64_t layer : from.softmax_layers) {
    to->add_softmax_layers(static_cast<int32_t>(layer));
  }
  LinearToProto(from.linear, to->mutable_linear());
  SoftmaxToProto(from.softmax, to->mutable_softmax());
  to->mutable_mlp()->set_intermediate_size(
      static_cast<int32_t>(from.mlp.intermediate_size));
  to->set_norm_epsilon(from.norm_epsilon);
  to->set_tie_embeddings(from.tie_embeddings);
  to->set_initializer_scale(from.initializer_scale);
}

}  // namespace longspan
