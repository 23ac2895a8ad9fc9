#include "common/model_spec/parameter_layout.h"

#include <cmath>
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace longspan {
namespace {

using ::testing::ElementsAre;

ModelSpec Small() {
  ModelSpec spec;
  spec.vocabulary_size = 50;
  spec.hidden_size = 24;
  spec.layer_count = 2;
  spec.layer_pattern = "LN";
  spec.linear.heads = 3;
  spec.softmax.heads = 4;
  spec.softmax.key_heads = 2;
  spec.softmax.head_dim = 6;
  spec.mlp.intermediate_size = 40;
  return ResolveDefaults(spec);
}

std::vector<std::string> Names(const ParameterLayout& layout) {
  std::vector<std::string> names;
  for (const ParameterInfo& info : layout.parameters) {
    names.push_back(info.name);
  }
  return names;
}

TEST(ParameterLayoutTest, NamesAreThoseOfFla) {
  EXPECT_THAT(
      Names(LayoutParameters(Small())),
      ElementsAre(
          "model.embeddings.weight", "model.layers.0.attn_norm.weight",
          "model.layers.0.attn.q_proj.weight",
          "model.layers.0.attn.k_proj.weight",
          "model.layers.0.attn.v_proj.weight",
          "model.layers.0.attn.g_proj.weight",
          "model.layers.0.attn.gk_proj.weight",
          "model.layers.0.attn.gk_proj.bias",
          "model.layers.0.attn.q_conv1d.weight",
          "model.layers.0.attn.k_conv1d.weight",
          "model.layers.0.attn.v_conv1d.weight",
          "model.layers.0.attn.g_norm_swish_gate.weight",
          "model.layers.0.attn.o_proj.weight", "model.layers.0.mlp_norm.weight",
          "model.layers.0.mlp.gate_proj.weight",
          "model.layers.0.mlp.up_proj.weight",
          "model.layers.0.mlp.down_proj.weight",
          "model.layers.1.attn_norm.weight",
          "model.layers.1.attn.q_proj.weight",
          "model.layers.1.attn.k_proj.weight",
          "model.layers.1.attn.v_proj.weight",
          "model.layers.1.attn.o_proj.weight", "model.layers.1.mlp_norm.weight",
          "model.layers.1.mlp.gate_proj.weight",
          "model.layers.1.mlp.up_proj.weight",
          "model.layers.1.mlp.down_proj.weight", "model.norm.weight",
          "lm_head.weight"));
}

// What follows o_proj's neighbours in the published layers.
TEST(ParameterLayoutTest, PublishedLayersHaveTheirNames) {
  const auto layout = [](LinearMixer mixer, FeatureMap map) {
    ModelSpec spec = Small();
    spec.linear.mixer = mixer;
    spec.linear.feature_map = map;
    spec.linear.key_dim = 4;
    spec.linear.output_gate = mixer == LinearMixer::kGla;
    spec.linear.short_convolution = 4;
    return LayoutParameters(spec);
  };
  const std::string attn = "model.layers.0.attn.";
  const auto gla = layout(LinearMixer::kGla, FeatureMap::kIdentity);
  EXPECT_THAT(gla.Find(attn + "gk_proj.0.weight")->shape, ElementsAre(16, 24));
  EXPECT_THAT(gla.Find(attn + "gk_proj.1.weight")->shape, ElementsAre(12, 16));
  EXPECT_THAT(gla.Find(attn + "gk_proj.1.bias")->shape, ElementsAre(12));
  EXPECT_NE(gla.Find(attn + "g_norm_swish_gate.weight"), nullptr);
  const auto rebased = layout(LinearMixer::kRebased, FeatureMap::kIdentity);
  EXPECT_EQ(rebased.Find(attn + "feature_map.gamma")->initial,
            InitialValue::kOne);
  EXPECT_THAT(rebased.Find(attn + "feature_map.beta")->shape, ElementsAre(4));
  EXPECT_EQ(rebased.Find(attn + "g_norm.weight"), nullptr);
  const auto lawcat = layout(LinearMixer::kLawcat, FeatureMap::kIdentity);
  EXPECT_EQ(lawcat.Find(attn + "feature_map.layer.weight")->initial,
            InitialValue::kUnitMatrix);
  EXPECT_THAT(lawcat.Find(attn + "gk_proj.1.weight")->shape,
              ElementsAre(3 * 8, 16));
  EXPECT_NE(lawcat.Find(attn + "k_conv1d.weight"), nullptr);
  EXPECT_EQ(lawcat.Find(attn + "v_conv1d.weight"), nullptr);
  const auto delta = layout(LinearMixer::kGatedDeltaNet, FeatureMap::kIdentity);
  EXPECT_THAT(delta.Find(attn + "b_proj.weight")->shape, ElementsAre(3, 24));
  EXPECT_THAT(delta.Find(attn + "a_proj.weight")->shape, ElementsAre(3, 24));
  EXPECT_EQ(delta.Find(attn + "A_log")->initial, InitialValue::kLogRate);
  EXPECT_EQ(delta.Find(attn + "dt_bias")->initial, InitialValue::kTimeStep);
  EXPECT_NE(delta.Find(attn + "o_norm.weight"), nullptr);
  const auto kda = layout(LinearMixer::kKda, FeatureMap::kIdentity);
  EXPECT_THAT(kda.Find(attn + "f_proj.0.weight")->shape, ElementsAre(8, 24));
  EXPECT_THAT(kda.Find(attn + "f_proj.1.weight")->shape, ElementsAre(12, 8));
  EXPECT_THAT(kda.Find(attn + "g_proj.1.weight")->shape, ElementsAre(24, 8));
  EXPECT_THAT(kda.Find(attn + "g_proj.1.bias")->shape, ElementsAre(24));
  EXPECT_THAT(kda.Find(attn + "dt_bias")->shape, ElementsAre(12));
  const auto hgrn2 = layout(LinearMixer::kHgrn2, FeatureMap::kIdentity);
  EXPECT_THAT(hgrn2.Find(attn + "f_proj.weight")->shape, ElementsAre(12, 24));
  EXPECT_NE(hgrn2.Find(attn + "i_conv1d.weight"), nullptr);
  EXPECT_THAT(hgrn2.Find(attn + "g_norm.weight")->shape, ElementsAre(24));
  const auto mamba2 = layout(LinearMixer::kMamba2, FeatureMap::kIdentity);
  EXPECT_THAT(mamba2.Find(attn + "in_proj.weight")->shape,
              ElementsAre(2 * 24 + 2 * 12 + 3, 24));
  EXPECT_THAT(mamba2.Find(attn + "conv1d.weight")->shape,
              ElementsAre(24 + 2 * 12, 1, 4));
  EXPECT_EQ(mamba2.Find(attn + "D")->initial, InitialValue::kOne);
  EXPECT_THAT(mamba2.Find(attn + "norm.weight")->shape, ElementsAre(24));
  EXPECT_THAT(mamba2.Find(attn + "out_proj.weight")->shape,
              ElementsAre(24, 24));
  const auto basic = layout(LinearMixer::kBasic, FeatureMap::kHadamard);
  EXPECT_NE(basic.Find(attn + "feature_map_q.layer1.weight"), nullptr);
  EXPECT_NE(basic.Find(attn + "feature_map_k.layer2.bias"), nullptr);
  EXPECT_NE(basic.Find(attn + "norm.weight"), nullptr);
}

TEST(ParameterLayoutTest, ShapesAreOutByIn) {
  const ParameterLayout layout = LayoutParameters(Small());
  const auto shape = [&](const char* name) { return layout.Find(name)->shape; };
  EXPECT_THAT(shape("model.layers.0.attn.gk_proj.weight"), ElementsAre(3, 24));
  EXPECT_THAT(shape("model.layers.0.attn.q_conv1d.weight"),
              ElementsAre(24, 1, 4));
  EXPECT_THAT(shape("model.layers.1.attn.k_proj.weight"), ElementsAre(12, 24));
  EXPECT_THAT(shape("model.layers.1.attn.o_proj.weight"), ElementsAre(24, 24));
  EXPECT_THAT(shape("model.layers.0.mlp.down_proj.weight"),
              ElementsAre(24, 40));
  EXPECT_EQ(layout.Find("model.layers.2.attn.q_proj.weight"), nullptr);
}

TEST(ParameterLayoutTest, GroupsAreContiguousAndAligned) {
  const ParameterLayout layout = LayoutParameters(Small());
  const auto end = [&](const char* name) {
    const ParameterInfo* info = layout.Find(name);
    return info->offset + info->count;
  };
  const auto begin = [&](const char* name) {
    return layout.Find(name)->offset;
  };
  for (const char* name :
       {"model.layers.0.attn.q_proj.weight", "model.layers.0.attn.gk_proj.bias",
        "model.layers.0.attn.q_conv1d.weight", "lm_head.weight",
        "model.layers.0.mlp.gate_proj.weight"}) {
    EXPECT_EQ(begin(name) % kParameterAlignment, 0) << name;
  }
  EXPECT_EQ(end("model.layers.0.attn.q_proj.weight"),
            begin("model.layers.0.attn.k_proj.weight"));
  EXPECT_EQ(end("model.layers.0.attn.g_proj.weight"),
            begin("model.layers.0.attn.gk_proj.weight"));
  EXPECT_EQ(end("model.layers.0.mlp.gate_proj.weight"),
            begin("model.layers.0.mlp.up_proj.weight"));
  int64_t previous = 0;
  for (const ParameterInfo& info : layout.parameters) {
    EXPECT_GE(info.offset, previous) << info.name;
    previous = info.offset + info.count;
  }
  EXPECT_GE(layout.total, previous);
  EXPECT_LT(layout.total - previous, kParameterAlignment);
}

TEST(ParameterLayoutTest, CountIsTheSumOfTheShapes) {
  ModelSpec spec = Small();
  const int64_t linear = 24 + 4 * 24 * 24 + 3 * 24 + 3 + 3 * 24 * 4 + 8 +
                         24 * 24 + 24 + 3 * 24 * 40;
  const int64_t softmax =
      24 + 24 * 24 + 2 * 12 * 24 + 24 * 24 + 24 + 3 * 24 * 40;
  EXPECT_EQ(ParameterCount(spec), 50 * 24 + linear + softmax + 24 + 50 * 24);
  spec.tie_embeddings = true;
  EXPECT_EQ(ParameterCount(spec), 50 * 24 + linear + softmax + 24);
}

TEST(ParameterLayoutTest, InitialValues) {
  ModelSpec spec = Small();
  const auto find = [&](const char* name) {
    return *LayoutParameters(spec).Find(name);
  };
  EXPECT_EQ(find("model.layers.0.attn.q_proj.weight").standard_deviation, 0.02);
  EXPECT_EQ(find("model.layers.0.attn.o_proj.weight").standard_deviation,
            0.02 / 2);
  EXPECT_EQ(find("model.norm.weight").initial, InitialValue::kOne);
  EXPECT_EQ(find("model.layers.0.attn.gk_proj.bias").initial,
            InitialValue::kZero);
  spec.initializer_scale = 0;
  EXPECT_EQ(find("model.layers.0.mlp.up_proj.weight").standard_deviation,
            1 / std::sqrt(24.0));
  spec.output_initializer = OutputInitializer::kZero;
  EXPECT_EQ(find("model.layers.0.mlp.down_proj.weight").initial,
            InitialValue::kZero);
}

TEST(ParameterLayoutTest, OnlyMatricesDecay) {
  for (const ParameterInfo& info : LayoutParameters(Small()).parameters) {
    EXPECT_EQ(info.weight_decay, info.shape.size() == 2) << info.name;
  }
}

}  // namespace
}  // namespace longspan
