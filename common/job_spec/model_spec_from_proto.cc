#include "common/job_spec/model_spec_from_proto.h"

#include "longspan/v1/model.pb.h"

namespace longspan {
namespace {

LinearMixer MixerFromProto(v1::LinearAttentionSpec::Mixer mixer) {
  switch (mixer) {
    case v1::LinearAttentionSpec::BASIC:
      return LinearMixer::kBasic;
    case v1::LinearAttentionSpec::LIGHTNING:
      return LinearMixer::kLightning;
    case v1::LinearAttentionSpec::RETENTION:
      return LinearMixer::kRetention;
    case v1::LinearAttentionSpec::SIMPLE_GLA:
      return LinearMixer::kSimpleGla;
    default:
      return LinearAttentionSpec().mixer;
  }
}

v1::LinearAttentionSpec::Mixer MixerToProto(LinearMixer mixer) {
  switch (mixer) {
    case LinearMixer::kBasic:
      return v1::LinearAttentionSpec::BASIC;
    case LinearMixer::kLightning:
      return v1::LinearAttentionSpec::LIGHTNING;
    case LinearMixer::kRetention:
      return v1::LinearAttentionSpec::RETENTION;
    case LinearMixer::kSimpleGla:
      return v1::LinearAttentionSpec::SIMPLE_GLA;
  }
  return v1::LinearAttentionSpec::MIXER_UNSPECIFIED;
}

LinearAttentionSpec LinearFromProto(const v1::LinearAttentionSpec& from) {
  LinearAttentionSpec to;
  to.mixer = MixerFromProto(from.mixer());
  to.heads = from.heads();
  to.key_dim = from.key_dim();
  to.value_dim = from.value_dim();
  to.feature_map = from.feature_map() == v1::LinearAttentionSpec::SILU
                       ? FeatureMap::kSilu
                       : FeatureMap::kIdentity;
  to.short_convolution = from.short_convolution();
  to.output_gate = from.output_gate();
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
  to->set_key_dim(static_cast<int32_t>(from.key_dim));
  to->set_value_dim(static_cast<int32_t>(from.value_dim));
  to->set_feature_map(from.feature_map == FeatureMap::kSilu
                          ? v1::LinearAttentionSpec::SILU
                          : v1::LinearAttentionSpec::IDENTITY);
  to->set_short_convolution(static_cast<int32_t>(from.short_convolution));
  to->set_output_gate(from.output_gate);
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
  LinearToProto(from.linear, to->mutable_linear());
  SoftmaxToProto(from.softmax, to->mutable_softmax());
  to->mutable_mlp()->set_intermediate_size(
      static_cast<int32_t>(from.mlp.intermediate_size));
  to->set_norm_epsilon(from.norm_epsilon);
  to->set_tie_embeddings(from.tie_embeddings);
  to->set_initializer_scale(from.initializer_scale);
}

}  // namespace longspan
