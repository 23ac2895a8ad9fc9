#include "common/model_spec/model_spec.h"

#include <cmath>

#include "common/model_spec/model_cost.h"
#include "common/model_spec/model_state_spec.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace longspan {
namespace {

using ::testing::ElementsAre;
using ::testing::Pointwise;

std::vector<std::string> PathsOf(const std::vector<SpecMistake>& mistakes) {
  std::vector<std::string> paths;
  for (const SpecMistake& mistake : mistakes) paths.push_back(mistake.path);
  return paths;
}

TEST(ModelSpecTest, DefaultsAreResolvedFromTheHiddenSize) {
  ModelSpec spec;
  spec.hidden_size = 256;
  spec = ResolveDefaults(spec);
  EXPECT_EQ(spec.linear.heads, 4);
  EXPECT_EQ(spec.linear.key_dim, 64);
  EXPECT_EQ(spec.linear.value_dim, 64);
  EXPECT_EQ(spec.softmax.heads, 4);
  EXPECT_EQ(spec.softmax.key_heads, 4);
  EXPECT_EQ(spec.softmax.head_dim, 64);
  EXPECT_EQ(spec.mlp.intermediate_size, 688);
  EXPECT_TRUE(Validate(spec).empty());
}

TEST(ModelSpecTest, WhatIsGivenStays) {
  ModelSpec spec;
  spec.linear.heads = 3;
  spec.linear.key_dim = 10;
  spec.mlp.intermediate_size = 77;
  spec = ResolveDefaults(spec);
  EXPECT_EQ(spec.linear.heads, 3);
  EXPECT_EQ(spec.linear.key_dim, 10);
  EXPECT_EQ(spec.mlp.intermediate_size, 77);
}

TEST(ModelSpecTest, ReportsEveryMistake) {
  ModelSpec spec = ResolveDefaults({});
  spec.vocabulary_size = 1;
  spec.layer_pattern = "LXN";
  spec.linear.key_dim = 513;
  spec.linear.short_convolution = 9;
  spec.softmax.key_heads = 3;
  spec.norm_epsilon = 0;
  EXPECT_THAT(PathsOf(Validate(spec)),
              ElementsAre("vocabulary_size", "layer_pattern", "norm_epsilon",
                          "linear.key_dim", "linear.short_convolution",
                          "softmax.key_heads"));
}

TEST(ModelSpecTest, KindsThatAreNotUsedAreNotChecked) {
  ModelSpec spec = ResolveDefaults({});
  spec.layer_pattern = "L";
  spec.softmax.heads = -1;
  EXPECT_TRUE(Validate(spec).empty());
  spec.layer_pattern = "N";
  EXPECT_FALSE(Validate(spec).empty());
}

TEST(ModelSpecTest, RetentionNeedsPairs) {
  ModelSpec spec = ResolveDefaults({});
  spec.linear.mixer = LinearMixer::kRetention;
  spec.linear.key_dim = 15;
  EXPECT_THAT(PathsOf(Validate(spec)), ElementsAre("linear.key_dim"));
  // What is rotated are the features: 1 + 4 + 10 of four, 1 + 5 + 15 of five,
  // 1 + 3 + 6 of three.
  spec.linear.feature_map = FeatureMap::kTaylor;
  spec.linear.key_dim = 4;
  const auto mistakes = Validate(spec);
  ASSERT_THAT(PathsOf(mistakes), ElementsAre("linear.key_dim"));
  EXPECT_EQ(mistakes[0].message,
            "is 4, which the map taylor makes 15 features; retention rotates "
            "pairs and needs an even number");
  spec.linear.key_dim = 5;
  EXPECT_THAT(PathsOf(Validate(spec)), ElementsAre("linear.key_dim"));
  spec.linear.key_dim = 3;
  EXPECT_TRUE(Validate(spec).empty());
}

ModelSpec WithMixer(LinearMixer mixer) {
  ModelSpec spec = ResolveDefaults({});
  spec.layer_pattern = "L";
  spec.linear.mixer = mixer;
  spec.linear.key_dim = 16;
  spec.linear.output_gate = false;
  return spec;
}

TEST(ModelSpecTest, MixersWithAMapOfTheirOwnTakeNoOther) {
  for (LinearMixer mixer : {LinearMixer::kBased, LinearMixer::kRebased,
                            LinearMixer::kHedgehog, LinearMixer::kLawcat}) {
    ModelSpec spec = WithMixer(mixer);
    EXPECT_TRUE(Validate(spec).empty());
    spec.linear.feature_map = FeatureMap::kElu;
    spec.linear.output_gate = true;
    EXPECT_THAT(PathsOf(Validate(spec)),
                ElementsAre("linear.feature_map", "linear.output_gate"));
  }
  ModelSpec exponential = WithMixer(LinearMixer::kHedgehog);
  exponential.linear.feature_map = FeatureMap::kHedgehogExp;
  EXPECT_TRUE(Validate(exponential).empty());
}

TEST(ModelSpecTest, TheDeltaRuleNeedsItsConvolutionAndNoNormaliser) {
  ModelSpec spec = WithMixer(LinearMixer::kDeltaNet);
  EXPECT_TRUE(Validate(spec).empty());
  spec.linear.normaliser = true;
  spec.linear.short_convolution = 0;
  EXPECT_THAT(PathsOf(Validate(spec)),
              ElementsAre("linear.normaliser", "linear.short_convolution"));
}

TEST(ModelSpecTest, OnlyForgetGatesHaveLowerBounds) {
  ModelSpec spec = WithMixer(LinearMixer::kHgrn2);
  spec.linear.use_lower_bound = true;
  EXPECT_TRUE(Validate(spec).empty());
  spec.linear.mixer = LinearMixer::kGla;
  EXPECT_THAT(PathsOf(Validate(spec)), ElementsAre("linear.use_lower_bound"));
}

TEST(ModelSpecTest, TheConvolutionBiasNeedsAConvolution) {
  ModelSpec spec = WithMixer(LinearMixer::kSimpleGla);
  spec.linear.convolution_bias = true;
  EXPECT_TRUE(Validate(spec).empty());
  EXPECT_THAT(PathsOf(MissingOnCuda(spec)),
              ElementsAre("linear.convolution_bias"));
  spec.linear.short_convolution = 0;
  EXPECT_THAT(PathsOf(Validate(spec)), ElementsAre("linear.convolution_bias"));
}

TEST(ModelSpecTest, OnlyTheDeltaRuleHasNegativeEigenvalues) {
  for (LinearMixer mixer : {LinearMixer::kDeltaNet, LinearMixer::kGatedDeltaNet,
                            LinearMixer::kKda}) {
    ModelSpec spec = WithMixer(mixer);
    spec.linear.allow_neg_eigval = true;
    EXPECT_TRUE(Validate(spec).empty()) << LinearMixerName(mixer);
  }
  ModelSpec spec = WithMixer(LinearMixer::kMamba2);
  spec.linear.allow_neg_eigval = true;
  const auto mistakes = Validate(spec);
  ASSERT_THAT(PathsOf(mistakes), ElementsAre("linear.allow_neg_eigval"));
  EXPECT_EQ(mistakes[0].message,
            "is true; mamba2 has no delta rule to allow them: leave it out");
}

TEST(ModelSpecTest, ANormaliserNeedsScoresOfOneSign) {
  const auto mistakes = [](LinearMixer mixer, FeatureMap map) {
    ModelSpec spec = WithMixer(mixer);
    spec.linear.feature_map = map;
    spec.linear.normaliser = true;
    return Validate(spec);
  };
  for (FeatureMap map : {FeatureMap::kIdentity, FeatureMap::kSilu,
                         FeatureMap::kHadamard, FeatureMap::kUnit}) {
    EXPECT_THAT(PathsOf(mistakes(LinearMixer::kBasic, map)),
                ElementsAre("linear.normaliser"))
        << FeatureMapName(map);
  }
  for (FeatureMap map :
       {FeatureMap::kElu, FeatureMap::kRelu, FeatureMap::kSoftmax,
        FeatureMap::kHedgehogExp, FeatureMap::kHedgehogSoftmax,
        FeatureMap::kHedgehogHalves, FeatureMap::kDpfp}) {
    EXPECT_TRUE(mistakes(LinearMixer::kGla, map).empty())
        << FeatureMapName(map);
  }
  // A square stays one when the state decays as a whole only.
  for (FeatureMap map : {FeatureMap::kTaylor, FeatureMap::kQuadratic}) {
    EXPECT_TRUE(mistakes(LinearMixer::kSimpleGla, map).empty());
    EXPECT_THAT(PathsOf(mistakes(LinearMixer::kGla, map)),
                ElementsAre("linear.normaliser"));
  }
  // Turned features change sign whatever the map.
  const auto turned = mistakes(LinearMixer::kRetention, FeatureMap::kElu);
  ASSERT_EQ(turned.size(), 1u);
  EXPECT_EQ(turned[0].message,
            "is true; scores of retention with the map elu change sign, and it "
            "would divide by their sum: leave it out");
}

TEST(ModelSpecTest, TheOutputGateIsRefusedByName) {
  ModelSpec spec = WithMixer(LinearMixer::kHgrn2);
  spec.linear.output_gate = true;
  const auto mistakes = Validate(spec);
  ASSERT_THAT(PathsOf(mistakes), ElementsAre("linear.output_gate"));
  EXPECT_EQ(mistakes[0].message,
            "is true; hgrn2 has no output gate: leave it out");
}

TEST(ModelSpecTest, KeyHeadsDivideTheHeads) {
  ModelSpec spec = WithMixer(LinearMixer::kGatedDeltaNet);
  spec.linear.heads = 6;
  spec.linear.key_heads = 3;
  EXPECT_TRUE(Validate(spec).empty());
  EXPECT_THAT(
      PathsOf(MissingOnCuda(spec)),
      ElementsAre("linear.mixer", "linear.key_heads", "linear.feature_map"));
  spec.linear.key_heads = 4;
  EXPECT_THAT(PathsOf(Validate(spec)), ElementsAre("linear.key_heads"));
  spec.linear.mixer = LinearMixer::kHgrn2;
  spec.linear.key_heads = 3;
  EXPECT_THAT(PathsOf(Validate(spec)), ElementsAre("linear.key_heads"));
}

TEST(ModelSpecTest, Mamba2HasUsualSizesOfItsOwn) {
  ModelSpec spec;
  spec.hidden_size = 512;
  spec.linear.mixer = LinearMixer::kMamba2;
  spec = ResolveDefaults(spec);
  EXPECT_EQ(spec.linear.heads, 16);
  EXPECT_EQ(spec.linear.key_heads, 1);
  EXPECT_EQ(spec.linear.key_dim, 128);
  EXPECT_EQ(spec.linear.value_dim, 64);
  EXPECT_THAT(PathsOf(MissingOnCuda(spec)),
              ElementsAre("linear.mixer", "linear.key_heads"));
}

TEST(ModelSpecTest, FeaturesAndTheNormaliserCountTowardsTheHead) {
  ModelSpec spec = WithMixer(LinearMixer::kBased);
  spec.linear.key_dim = 30;  // 496 features
  EXPECT_TRUE(Validate(spec).empty());
  spec.linear.key_dim = 31;  // 528
  spec.linear.value_dim = 512;
  EXPECT_THAT(PathsOf(Validate(spec)),
              ElementsAre("linear.key_dim", "linear.value_dim"));
}

TEST(ModelSpecTest, CudaRefusesWhatItHasNot) {
  EXPECT_TRUE(MissingOnCuda(WithMixer(LinearMixer::kSimpleGla)).empty());
  EXPECT_THAT(PathsOf(MissingOnCuda(WithMixer(LinearMixer::kGla))),
              ElementsAre("linear.mixer"));
  EXPECT_THAT(
      PathsOf(MissingOnCuda(WithMixer(LinearMixer::kLawcat))),
      ElementsAre("linear.mixer", "linear.feature_map", "linear.normaliser"));
  EXPECT_THAT(PathsOf(MissingOnCuda(WithMixer(LinearMixer::kGatedDeltaNet))),
              ElementsAre("linear.mixer", "linear.feature_map"));
  const auto based = MissingOnCuda(WithMixer(LinearMixer::kBased));
  ASSERT_EQ(based.size(), 2u);
  EXPECT_EQ(based[0].message,
            "needs the feature map taylor, which the backend cuda does not "
            "have yet; the backend cpu has it");
  ModelSpec softmax = WithMixer(LinearMixer::kBased);
  softmax.layer_pattern = "N";
  EXPECT_TRUE(MissingOnCuda(softmax).empty());
}

TEST(ModelSpecTest, CudaRefusesSizesBeyondItsKernels) {
  ModelSpec spec = WithMixer(LinearMixer::kSimpleGla);
  spec.layer_pattern = "LN";
  spec.hidden_size = 8192;
  spec.linear.key_dim = 256;
  spec.linear.value_dim = 256;
  spec.softmax.head_dim = 256;
  EXPECT_TRUE(MissingOnCuda(spec).empty());
  spec.hidden_size = 8193;
  spec.linear.key_dim = 257;
  spec.linear.value_dim = 258;
  spec.softmax.head_dim = 260;
  const auto missing = MissingOnCuda(spec);
  ASSERT_THAT(PathsOf(missing),
              ElementsAre("hidden_size", "linear.key_dim", "linear.value_dim",
                          "softmax.head_dim"));
  EXPECT_EQ(missing[0].message,
            "needs norms of rows of 8193 (at most 8192), which the backend "
            "cuda does not have yet; the backend cpu has it");
  spec.layer_pattern = "N";
  EXPECT_THAT(PathsOf(MissingOnCuda(spec)),
              ElementsAre("hidden_size", "softmax.head_dim"));
}

TEST(ModelSpecTest, SoftmaxLayersMakeThePattern) {
  ModelSpec spec;
  spec.layer_count = 5;
  spec.layer_pattern = "";
  spec.softmax_layers = {1, 4};
  spec = ResolveDefaults(spec);
  EXPECT_EQ(spec.layer_pattern, "LNLLN");
  EXPECT_TRUE(Validate(spec).empty());
  spec.layer_pattern = "LLLN";
  EXPECT_THAT(PathsOf(Validate(spec)), ElementsAre("layer_pattern"));
  spec.layer_pattern = "NNLLL";
  spec.softmax_layers = {1, 0, 5};
  EXPECT_THAT(PathsOf(Validate(spec)),
              ElementsAre("softmax_layers", "softmax_layers"));
}

TEST(ModelSpecTest, PatternRepeatsAndIsCut) {
  ModelSpec spec;
  spec.layer_pattern = "LLLN";
  spec.layer_count = 6;
  std::string kinds;
  for (int64_t layer = 0; layer < spec.layer_count; ++layer) {
    kinds += LayerKindAt(spec, layer) == LayerKind::kLinear ? 'L' : 'N';
  }
  EXPECT_EQ(kinds, "LLLNLL");
}

MATCHER(IsNearPair, "") {
  return std::abs(std::get<0>(arg) - std::get<1>(arg)) < 1e-12;
}

TEST(ModelSpecTest, DecaysOfTheConstantMixers) {
  EXPECT_THAT(
      LogDecays(LinearMixer::kLightning, 4),
      Pointwise(IsNearPair(), {-0.25, -0.0625, -0.015625, -0.00390625}));
  // Not a power of two: the two of 2, then the first of 4.
  EXPECT_THAT(LogDecays(LinearMixer::kLightning, 3),
              Pointwise(IsNearPair(), {-0.0625, -0.00390625, -0.25}));
  EXPECT_THAT(
      LogDecays(LinearMixer::kRetention, 2),
      Pointwise(IsNearPair(), {std::log(31.0 / 32), std::log(63.0 / 64)}));
  EXPECT_THAT(LogDecays(LinearMixer::kBasic, 2), ElementsAre(0, 0));
}

TEST(ModelSpecTest, StatesOfEveryLayer) {
  ModelSpec spec;
  spec.hidden_size = 64;
  spec.layer_count = 2;
  spec.layer_pattern = "LN";
  spec.softmax.key_heads = 1;
  spec.softmax.head_dim = 32;
  spec = ResolveDefaults(spec);
  const StateCapacity capacity = {2, 1000, 100};
  const auto linear = LayerStateTensors(spec, 0, capacity);
  ASSERT_EQ(linear.size(), 2u);
  EXPECT_EQ(linear[0].name, "model.layers.0.memory");
  EXPECT_THAT(linear[0].shape, ElementsAre(2, 1, 64, 64));
  EXPECT_EQ(linear[1].name, "model.layers.0.conv_tail");
  EXPECT_THAT(linear[1].shape, ElementsAre(2, 3, 192));
  const auto softmax = LayerStateTensors(spec, 1, capacity);
  ASSERT_EQ(softmax.size(), 1u);
  EXPECT_THAT(softmax[0].shape, ElementsAre(2, 1000, 2, 1, 32));
  EXPECT_EQ(StateBytes(spec, capacity, 4),
            4 * (2 * 64 * 64 + 2 * 3 * 192 + 2 * 1000 * 2 * 32));
  spec.softmax.window = 50;
  EXPECT_EQ(KeyValueRows(spec, capacity), 200);
}

ModelSpec SmallModel(const std::string& pattern, LinearMixer mixer) {
  ModelSpec spec;
  spec.vocabulary_size = 10;
  spec.hidden_size = 8;
  spec.layer_count = 1;
  spec.layer_pattern = pattern;
  spec.linear.mixer = mixer;
  spec.linear.heads = 2;
  spec.softmax.heads = 2;
  spec.softmax.head_dim = 4;
  spec.mlp.intermediate_size = 16;
  return ResolveDefaults(spec);
}

TEST(ModelSpecTest, OperationsOfASoftmaxModel) {
  const ModelSpec spec = SmallModel("N", LinearMixer::kSimpleGla);
  // Projections 4 * 8 * 8, MLP 3 * 8 * 16, head 10 * 8; scores and values of
  // 50 keys: 2 heads * 4 * 4 * 50.
  EXPECT_EQ(ForwardFlopsPerToken(spec, 100),
            2 * (256 + 384 + 80) + 2 * 4 * 4 * 50);
  EXPECT_EQ(TrainFlopsPerToken(spec, 100), 3 * ForwardFlopsPerToken(spec, 100));
}

// Of every linear model below: MLP 3 * 8 * 16 = 384 and head 10 * 8 = 80
// weights, two operations each.
TEST(ModelSpecTest, OperationsOfASimpleGlaModel) {
  const ModelSpec spec = SmallModel("L", LinearMixer::kSimpleGla);
  // Weights: q, k, v, output gate and o 5 * 64, gate 2 * 8: 336. A head of 4
  // keys and values: 64 * (4 + 4) in the chunk, 4 * 4 * 4 for the state: 576.
  EXPECT_EQ(ForwardFlopsPerToken(spec, 100), 2 * (336 + 464) + 2 * 576);
  EXPECT_EQ(ForwardFlopsPerToken(spec, 100000), 2752);
}

TEST(ModelSpecTest, OperationsOfADeltaNetModel) {
  const ModelSpec spec = SmallModel("L", LinearMixer::kDeltaNet);
  // Weights: q, k, v, output gate and o 5 * 64, beta 2 * 8: 336. A head: 576
  // as above, k k^T and the system for k and v 64 * (2 * 4 + 4) = 768, what
  // the state knows of k 2 * 4 * 4 = 32: 1376.
  EXPECT_EQ(ForwardFlopsPerToken(spec, 100), 2 * (336 + 464) + 2 * 1376);
  EXPECT_EQ(ForwardFlopsPerToken(spec, 100000), 4352);
}

TEST(ModelSpecTest, OperationsOfAHedgehogModel) {
  const ModelSpec spec = SmallModel("L", LinearMixer::kHedgehog);
  // Weights: q, k, v and o 4 * 64 = 256. The maps' 4 * 4 for q and for k of
  // each of the two heads: 64. A head has 8 features and 4 + 1 columns:
  // 64 * (8 + 5) + 4 * 8 * 5 = 992.
  EXPECT_EQ(ForwardFlopsPerToken(spec, 100), 2 * (256 + 64 + 464) + 2 * 992);
  EXPECT_EQ(ForwardFlopsPerToken(spec, 100000), 3552);
}

}  // namespace
}  // namespace longspan
