// Whole linear attention layers against numbers that another implementation
// made: the layers of flash-linear-attention on PyTorch, forward and by
// autograd (tests/golden/linear_layers.py). They are float32, so they are
// compared at 1e-5.
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "gtest/gtest.h"
#include "tests/support/golden.h"
#include "tests/support/model_gang/model_gang.h"
#include "worker/model/linear_attention_layer.h"

namespace longspan::testing {
namespace {

using kernels::BackendKind;
using kernels::DType;
using kernels::TensorView;
using worker::RowRange;

constexpr int64_t kGoldenTokens = 20;
constexpr int64_t kHidden = 8;
constexpr double kTolerance = 1e-5;

// What a parameter of layer `layer` is called in a golden file: the rest of
// its name, and its name in the model where layers share it. Empty for others.
std::string GoldenName(const std::string& name, int layer) {
  const std::string prefix = absl::StrCat("model.layers.", layer, ".attn.");
  if (name.rfind(prefix, 0) == 0) return name.substr(prefix.size());
  return name == "model.lower_bounds" ? "lower_bounds" : "";
}

// `values` and `seed_of` of the generator.
std::vector<double> Values(int64_t seed, int64_t count, double factor) {
  std::vector<double> values(count);
  for (int64_t i = 0; i < count; ++i) {
    const double numerator = GoldenNumerator(seed, i);
    values[i] =
        factor * static_cast<float>(numerator / kGoldenDenominator - 0.5);
  }
  return values;
}
int64_t SeedOf(const std::string& name) {
  return std::accumulate(name.begin(), name.end(), int64_t{0});
}

void Store(const std::vector<double>& values, int64_t offset, TensorView out) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (out.dtype() == DType::kF64) {
      out.data_as<double>()[offset + i] = values[i];
    } else {
      out.data_as<float>()[offset + i] = static_cast<float>(values[i]);
    }
  }
}

void FillParameters(int layer, worker::Parameters& parameters) {
  for (const ParameterInfo& info : parameters.layout().parameters) {
    const std::string name = GoldenName(info.name, layer);
    if (name.empty()) continue;
    Store(Values(SeedOf(name), info.count, 1), info.offset,
          parameters.values());
  }
}

double RelativeRms(const std::vector<double>& actual,
                   const std::vector<double>& expected) {
  double error = 0, size = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    error += (actual[i] - expected[i]) * (actual[i] - expected[i]);
    size += expected[i] * expected[i];
  }
  return std::sqrt(error / size);
}

// The layer alone, forward and backward.
absl::Status RunLayer(RankFixture& rank, const ModelSpec& spec, int index,
                      Golden& results) {
  const worker::RankContext& context = rank.context();
  worker::LinearAttentionLayer layer(spec, index, rank.parameters());
  ASSIGN_OR_RETURN(const auto shard, worker::SequenceShard::Split(
                                         {.tokens = kGoldenTokens}, 1, 0));
  std::vector<int64_t> positions(kGoldenTokens);
  std::iota(positions.begin(), positions.end(), 0);
  const worker::LayerPass pass = {
      &shard, TensorView(positions.data(), DType::kI64, {kGoldenTokens}),
      false};
  const RowRange rows = {0, kGoldenTokens};
  const auto take = [&](const char* name) {
    return context.arena->Allocate(name, context.dtype,
                                   {kGoldenTokens, kHidden});
  };
  const TensorView x = take("x"), y = take("y"), d_y = take("d_y");
  const TensorView d_x = take("d_x");
  Store(Values(1, kGoldenTokens * kHidden, 2), 0, x);
  Store(Values(2, kGoldenTokens * kHidden, 1), 0, d_y);
  Store(std::vector<double>(kGoldenTokens * kHidden), 0, y);
  worker::MixerTape tape = layer.AllocateTape(context, pass);
  RETURN_IF_ERROR(layer.Prepare(context, pass, nullptr, tape));
  RETURN_IF_ERROR(layer.Project(context, pass, rows, x, tape));
  RETURN_IF_ERROR(layer.Mix(context, pass, x, nullptr, tape));
  RETURN_IF_ERROR(layer.Output(context, rows, tape, y));
  worker::MixerGradients d = layer.AllocateGradients(context, pass);
  RETURN_IF_ERROR(layer.OutputBackward(context, rows, d_y, tape, d));
  RETURN_IF_ERROR(layer.MixBackward(context, pass, x, d_y, tape, d));
  RETURN_IF_ERROR(layer.ProjectBackward(context, rows, x, tape, d, d_x));
  results["y"] = ToDoubles(y);
  results["d_x"] = ToDoubles(d_x);
  return absl::OkStatus();
}

struct LayerCase {
  std::string name;
  LinearAttentionSpec linear;
  int layer = 0;
};

ModelSpec SpecOf(const LinearAttentionSpec& linear, int layer) {
  ModelSpec spec;
  spec.vocabulary_size = 5;
  spec.hidden_size = kHidden;
  spec.layer_count = layer + 1;
  spec.layer_pattern = "L";
  spec.linear = linear;
  spec.norm_epsilon = 1e-5;
  return ResolveDefaults(spec);
}

class LayerGoldenTest : public ::testing::TestWithParam<LayerCase> {
 protected:
  void Check(BackendKind backend, DType dtype) {
    SCOPED_TRACE(DTypeName(dtype));
    GangCase c = MakeGangCase(SpecOf(GetParam().linear, GetParam().layer), 1,
                              kGoldenTokens);
    c.backend = backend;
    c.dtype = dtype;
    RankFixture rank(c, nullptr, 1 << 20, true);
    FillParameters(GetParam().layer, rank.parameters());
    ASSERT_TRUE(rank.parameters().ZeroGradients().ok());
    Golden results;
    const absl::Status status =
        RunLayer(rank, c.spec, GetParam().layer, results);
    ASSERT_TRUE(status.ok()) << status;
    const std::vector<double> gradients =
        ToDoubles(rank.parameters().gradients());
    for (const ParameterInfo& info : rank.parameters().layout().parameters) {
      const std::string name = GoldenName(info.name, GetParam().layer);
      if (name.empty()) continue;
      const auto begin = gradients.begin() + info.offset;
      results[name].assign(begin, begin + info.count);
    }
    Compare(results,
            ReadGolden(std::string("linear_layer_") + GetParam().name));
  }

  // The same tensors on both sides, the names of the parameters included.
  static void Compare(const Golden& results, const Golden& golden) {
    EXPECT_EQ(results.size(), golden.size());
    for (const auto& [name, expected] : golden) {
      const auto actual = results.find(name);
      ASSERT_NE(actual, results.end()) << name;
      ASSERT_EQ(actual->second.size(), expected.size()) << name;
      EXPECT_LE(RelativeRms(actual->second, expected), kTolerance) << name;
    }
  }
};

TEST_P(LayerGoldenTest, Reference) {
  Check(BackendKind::kReference, DType::kF64);
}

TEST_P(LayerGoldenTest, Cpu) {
  Check(BackendKind::kCpu, DType::kF32);
  Check(BackendKind::kCpu, DType::kF64);
}

std::vector<LayerCase> Cases() {
  LinearAttentionSpec two;
  two.heads = 2;
  two.key_dim = 4;
  two.value_dim = 4;
  two.output_gate = false;
  const auto with = [](LinearAttentionSpec linear, LinearMixer mixer) {
    linear.mixer = mixer;
    return linear;
  };
  LinearAttentionSpec grouped = two;
  grouped.key_heads = 1;
  grouped.output_gate = true;
  LinearAttentionSpec bare = two;
  bare.short_convolution = 0;
  LinearAttentionSpec wide = two;
  wide.heads = 4;
  wide.key_heads = 1;
  wide.key_dim = 6;
  LinearAttentionSpec wide_groups = wide;
  wide_groups.key_heads = 2;
  wide_groups.convolution_bias = true;
  LinearAttentionSpec gated = two;
  gated.output_gate = true;
  LinearAttentionSpec mapped = bare;
  mapped.feature_map = FeatureMap::kHadamard;
  LinearAttentionSpec signed_two = two;
  signed_two.allow_neg_eigval = true;
  LinearAttentionSpec signed_grouped = grouped;
  signed_grouped.allow_neg_eigval = true;
  LinearAttentionSpec bounded = bare;
  bounded.use_lower_bound = true;
  LinearAttentionSpec turned = bare;
  turned.output_gate = true;
  LinearAttentionSpec activated = turned;
  activated.feature_map = FeatureMap::kSilu;
  return {{"basic", with(mapped, LinearMixer::kBasic)},
          {"lightning", with(activated, LinearMixer::kLightning)},
          {"retention", with(turned, LinearMixer::kRetention)},
          {"based", with(bare, LinearMixer::kBased)},
          {"rebased", with(bare, LinearMixer::kRebased)},
          {"hedgehog", with(bare, LinearMixer::kHedgehog)},
          {"simple_gla", with(gated, LinearMixer::kSimpleGla)},
          {"gla", with(gated, LinearMixer::kGla)},
          {"deltanet", with(two, LinearMixer::kDeltaNet)},
          {"gated_deltanet", with(grouped, LinearMixer::kGatedDeltaNet)},
          {"deltanet_signed", with(signed_two, LinearMixer::kDeltaNet)},
          {"gated_deltanet_signed",
           with(signed_grouped, LinearMixer::kGatedDeltaNet)},
          {"kda_signed", with(signed_two, LinearMixer::kKda)},
          {"kda", with(two, LinearMixer::kKda)},
          {"hgrn2", with(bare, LinearMixer::kHgrn2)},
          {"hgrn2_bounded", with(bounded, LinearMixer::kHgrn2), 1},
          {"mamba2", with(wide, LinearMixer::kMamba2)},
          {"mamba2_groups", with(wide_groups, LinearMixer::kMamba2)}};
}

INSTANTIATE_TEST_SUITE_P(FlashLinearAttention, LayerGoldenTest,
                         ::testing::ValuesIn(Cases()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace longspan::testing
