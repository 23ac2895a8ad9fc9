#include "common/job_spec/model_spec_from_proto.h"

#include <gtest/gtest.h>

#include "longspan/v1/model.pb.h"

namespace longspan {
namespace {

TEST(ModelSpecFromProtoTest, UnsetMeansThePlainDefault) {
  ModelSpec spec = ModelSpecFromProto(v1::ModelSpec());
  EXPECT_EQ(spec.vocabulary_size, 256);
  EXPECT_EQ(spec.hidden_size, 0);
  EXPECT_EQ(spec.linear.mixer, LinearMixer::kSimpleGla);
  EXPECT_EQ(spec.linear.short_convolution, 0);
  EXPECT_FALSE(spec.linear.output_gate);
  EXPECT_DOUBLE_EQ(spec.norm_epsilon, 1e-6);
}

TEST(ModelSpecFromProtoTest, RoundTripKeepsEveryField) {
  v1::ModelSpec proto;
  proto.set_vocabulary_size(256);
  proto.set_hidden_size(96);
  proto.set_layer_count(5);
  proto.set_layer_pattern("LN");
  proto.add_softmax_layers(1);
  for (int mixer = 1; mixer <= 9; ++mixer) {
    auto* linear = proto.mutable_linear();
    linear->set_mixer(static_cast<v1::LinearAttentionSpec::Mixer>(mixer));
    linear->set_heads(3);
    linear->set_key_dim(16);
    linear->set_value_dim(24);
    linear->set_feature_map(
        static_cast<v1::LinearAttentionSpec::FeatureMap>(mixer + 3));
    linear->set_normaliser(mixer % 2 == 0);
    linear->set_allow_neg_eigval(mixer % 2 == 1);
    linear->set_convolution_bias(mixer % 3 == 1);
    linear->set_use_lower_bound(mixer % 3 == 2);
    linear->set_short_convolution(2);
    linear->set_output_gate(true);
    auto* softmax = proto.mutable_softmax();
    softmax->set_heads(6);
    softmax->set_key_heads(2);
    softmax->set_head_dim(8);
    softmax->set_rotary_base(500.0);
    softmax->set_window(33);
    proto.mutable_mlp()->set_intermediate_size(40);
    proto.set_norm_epsilon(1e-5);
    proto.set_tie_embeddings(true);
    proto.set_initializer_scale(0.5);
    v1::ModelSpec back;
    ModelSpecToProto(ModelSpecFromProto(proto), &back);
    EXPECT_EQ(back.DebugString(), proto.DebugString());
  }
}

}  // namespace
}  // namespace longspan
