#include "common/model_spec/head_slices.h"

#include <map>
#include <string>
#include <vector>

#include "common/model_spec/linear_layer_form.h"
#include "common/model_spec/parameter_layout.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace longspan {
namespace {

using ::testing::HasSubstr;

constexpr LinearMixer kMixers[] = {
    LinearMixer::kBasic,         LinearMixer::kLightning,
    LinearMixer::kRetention,     LinearMixer::kSimpleGla,
    LinearMixer::kGla,           LinearMixer::kBased,
    LinearMixer::kRebased,       LinearMixer::kHedgehog,
    LinearMixer::kLawcat,        LinearMixer::kDeltaNet,
    LinearMixer::kGatedDeltaNet, LinearMixer::kKda,
    LinearMixer::kMamba2};

constexpr char kPrefix[] = "model.layers.0.attn.";

ModelSpec SpecOf(LinearMixer mixer, int64_t heads, int64_t key_heads) {
  ModelSpec spec;
  spec.hidden_size = 12;
  spec.layer_count = 1;
  spec.layer_pattern = "L";
  spec.linear.mixer = mixer;
  spec.linear.heads = heads;
  spec.linear.key_heads = key_heads;
  spec.linear.key_dim = 4;
  spec.linear.value_dim = 6;
  spec.linear.convolution_bias = true;
  spec.softmax = {.heads = heads, .key_heads = key_heads, .head_dim = 4};
  return ResolveDefaults(spec);
}

// Elements of every parameter of the mixer, and how many ranks have each.
std::map<std::string, std::vector<int>> Owners(const ModelSpec& spec,
                                               LayerKind kind, int ranks) {
  const ParameterLayout layout = LayoutParameters(spec);
  std::map<std::string, std::vector<int>> owners;
  for (const ParameterInfo& info : layout.parameters) {
    if (info.name.find(kPrefix) != 0) continue;
    owners[info.name].assign(info.count, 0);
  }
  for (int rank = 0; rank < ranks; ++rank) {
    const HeadCut cut = CutLayer(spec, kind, rank, ranks);
    for (const ParameterSlice& slice : SliceMixer(spec, kind, cut)) {
      const ParameterInfo* info = layout.Find(kPrefix + slice.name);
      EXPECT_NE(info, nullptr) << slice.name;
      if (info == nullptr) continue;
      const int64_t columns = info->count / info->shape[0];
      const HeadRange range =
          slice.columns.size() > 0 ? slice.columns : HeadRange{0, columns};
      for (const HeadRange& rows : slice.rows) {
        for (int64_t row = rows.begin; row < rows.end; ++row) {
          for (int64_t c = range.begin; c < range.end; ++c) {
            ++owners[info->name].at(row * columns + c);
          }
        }
      }
    }
  }
  return owners;
}

// Every element is one rank's, or, where heads share it, every rank's.
void ExpectPartition(const ModelSpec& spec, LayerKind kind, int ranks) {
  for (const auto& [name, owners] : Owners(spec, kind, ranks)) {
    for (int count : owners) {
      ASSERT_TRUE(count == owners[0]) << name;
      ASSERT_TRUE(count == 1 || count == ranks) << name << " " << count;
    }
  }
}

TEST(HeadSlicesTest, TheSlicesOfAllRanksMakeEveryParameter) {
  for (LinearMixer mixer : kMixers) {
    SCOPED_TRACE(std::string(LinearMixerName(mixer)));
    for (int ranks : {1, 2, 3, 8}) {
      ExpectPartition(SpecOf(mixer, 8, 8), LayerKind::kLinear, ranks);
    }
    // Two heads to a key.
    for (int ranks : {2, 3, 4}) {
      ExpectPartition(SpecOf(mixer, 8, 4), LayerKind::kLinear, ranks);
    }
  }
  ModelSpec softmax = SpecOf(LinearMixer::kBasic, 8, 4);
  softmax.layer_pattern = "N";
  for (int ranks : {1, 2, 3, 4}) {
    ExpectPartition(softmax, LayerKind::kSoftmax, ranks);
  }
}

// Rows of a key head go to each of the ranks that read it, and only those.
TEST(HeadSlicesTest, RanksThatShareAKeyHeadHaveItsRows) {
  const ModelSpec spec = SpecOf(LinearMixer::kGatedDeltaNet, 4, 2);
  const auto owners = Owners(spec, LayerKind::kLinear, 4);
  const auto expect = [&](const char* name, int count) {
    for (int owner : owners.at(std::string(kPrefix) + name)) {
      ASSERT_EQ(owner, count) << name;
    }
  };
  expect("q_proj.weight", 2);
  expect("k_conv1d.weight", 2);
  expect("v_proj.weight", 1);
  expect("o_proj.weight", 1);
  expect("A_log", 1);
  expect("o_norm.weight", 4);
}

// The slices are what a model with the rank's heads has, in its shapes.
TEST(HeadSlicesTest, ARankHasALayerOfItsOwn) {
  for (LinearMixer mixer : kMixers) {
    SCOPED_TRACE(std::string(LinearMixerName(mixer)));
    const ModelSpec spec = SpecOf(mixer, 8, 4);
    const HeadCut cut = CutLayer(spec, LayerKind::kLinear, 1, 3);
    const ModelSpec own = OwnLayerSpec(spec, LayerKind::kLinear, cut);
    const ParameterLayout layout = LayoutParameters(own);
    size_t found = 0;
    for (const ParameterSlice& slice :
         SliceMixer(spec, LayerKind::kLinear, cut)) {
      const ParameterInfo* info = layout.Find(kPrefix + slice.name);
      ASSERT_NE(info, nullptr) << slice.name;
      int64_t rows = 0;
      for (const HeadRange& range : slice.rows) rows += range.size();
      EXPECT_EQ(rows, info->shape[0]) << slice.name;
      if (slice.columns.size() > 0) {
        EXPECT_EQ(slice.columns.size(), info->shape[1]) << slice.name;
      }
      ++found;
    }
    size_t expected = 0;
    for (const ParameterInfo& info : layout.parameters) {
      expected += info.name.find(kPrefix) == 0 ? 1 : 0;
    }
    EXPECT_EQ(found, expected);
  }
}

TEST(HeadSlicesTest, WhatCannotBeCutIsRefusedByName) {
  const auto refusal = [](ModelSpec spec, int ranks) {
    return std::string(
        CheckHeadCut(spec, SequenceParallel::kMegatronSp, ranks).message());
  };
  const ModelSpec basic = SpecOf(LinearMixer::kBasic, 4, 4);
  EXPECT_EQ(refusal(basic, 4), "");
  EXPECT_THAT(refusal(basic, 5),
              HasSubstr("megatron_sp gives every rank whole heads, and 5 ranks "
                        "are more than the 4 heads of the linear layers"));
  const ModelSpec hgrn2 = SpecOf(LinearMixer::kHgrn2, 4, 4);
  EXPECT_EQ(refusal(hgrn2, 1), "");
  EXPECT_THAT(refusal(hgrn2, 2), HasSubstr("hgrn2 takes all heads together"));
  const ModelSpec mamba2 = SpecOf(LinearMixer::kMamba2, 8, 2);
  EXPECT_EQ(refusal(mamba2, 2), "");
  EXPECT_THAT(refusal(mamba2, 3), HasSubstr("the 2 groups of heads"));
  ModelSpec softmax = basic;
  softmax.layer_pattern = "N";
  EXPECT_EQ(refusal(softmax, 5), "");
  EXPECT_THAT(
      std::string(
          CheckHeadCut(softmax, SoftmaxParallel::kMegatronSp, 5).message()),
      HasSubstr("megatron_sp gives every rank whole heads"));
}

// Reference page, section 3: 2 (W - 1) / W B N d forward, 3 backward.
TEST(HeadSlicesTest, BytesAreThoseOfTheFormula) {
  const std::vector<TokenRange> ranges = *SplitTokens(64, 4);
  const GatherMoves gather = PlanInputGather(ranges, 3, 1);
  EXPECT_EQ(gather.sent, 3 * 16 * 3);
  EXPECT_EQ(gather.received, gather.sent);
  const std::vector<TokenRange> uneven = {{0, 1}, {1, 6}};
  EXPECT_EQ(PlanInputGather(uneven, 1, 0).sent, 1);
  EXPECT_EQ(PlanInputGather(uneven, 1, 0).received, 5);
  EXPECT_EQ(PlanOutputScatter(uneven, 1, 0).sent, 5);
}

}  // namespace
}  // namespace longspan
