#include "common/model_spec/model_spec.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/divide.h"
#include "common/model_spec/linear_layer_form.h"
#include "kernels/cost/cuda_linear_attention_plan.h"
#include "kernels/cost/cuda_op_plan.h"
#include "kernels/cost/cuda_softmax_attention_plan.h"

namespace longspan {
namespace {

constexpr int64_t kMaxHeadDim = 512;

void SetIfZero(int64_t& value, int64_t usual) {
  if (value == 0) value = usual;
}

// One letter a layer, from softmax_layers.
std::string PatternOf(const ModelSpec& spec) {
  std::string pattern(std::clamp<int64_t>(spec.layer_count, 0, 4096), 'L');
  for (int64_t layer : spec.softmax_layers) {
    if (0 <= layer && layer < static_cast<int64_t>(pattern.size())) {
      pattern[layer] = 'N';
    }
  }
  return pattern;
}

// Collects mistakes under a common path prefix.
class Checker {
 public:
  explicit Checker(std::vector<SpecMistake>* mistakes) : mistakes_(mistakes) {}

  void Require(bool condition, const std::string& path,
               const std::string& message) {
    if (!condition) mistakes_->push_back({path, message});
  }
  void InRange(int64_t value, int64_t low, int64_t high,
               const std::string& path) {
    Require(low <= value && value <= high, path,
            absl::StrCat("is ", value, "; allowed are ", low, " to ", high));
  }

 private:
  std::vector<SpecMistake>* mistakes_;
};

void CheckTop(const ModelSpec& spec, Checker& check) {
  check.InRange(spec.vocabulary_size, 2, int64_t{1} << 24, "vocabulary_size");
  check.InRange(spec.hidden_size, 1, int64_t{1} << 20, "hidden_size");
  check.InRange(spec.layer_count, 1, 4096, "layer_count");
  check.Require(!spec.layer_pattern.empty(), "layer_pattern",
                "is empty; use letters L (linear) and N (softmax)");
  const size_t bad = spec.layer_pattern.find_first_not_of("LN");
  if (bad != std::string::npos) {
    check.Require(false, "layer_pattern",
                  absl::StrCat("has '", spec.layer_pattern.substr(bad, 1),
                               "' at position ", bad,
                               "; use letters L (linear) and N (softmax)"));
  }
  check.InRange(spec.mlp.intermediate_size, 1, int64_t{1} << 22,
                "mlp.intermediate_size");
  check.Require(
      spec.norm_epsilon > 0 && spec.norm_epsilon < 1, "norm_epsilon",
      absl::StrCat("is ", spec.norm_epsilon, "; must lie between 0 and 1"));
  check.Require(
      spec.initializer_scale >= 0, "initializer_scale",
      absl::StrCat("is ", spec.initializer_scale, "; must not be negative"));
}

bool IsHedgehog(FeatureMap map) {
  return map == FeatureMap::kHedgehogExp ||
         map == FeatureMap::kHedgehogSoftmax ||
         map == FeatureMap::kHedgehogHalves;
}

// Whether the mixer can do with the map that was asked for.
bool TakesMap(LinearMixer mixer, FeatureMap asked) {
  switch (mixer) {
    case LinearMixer::kBased:
      return asked == FeatureMap::kTaylor;
    case LinearMixer::kRebased:
      return asked == FeatureMap::kQuadratic;
    case LinearMixer::kHedgehog:
      return IsHedgehog(asked);
    case LinearMixer::kLawcat:
      return asked == FeatureMap::kHedgehogHalves;
    case LinearMixer::kDeltaNet:
    case LinearMixer::kGatedDeltaNet:
    case LinearMixer::kKda:
      return asked == FeatureMap::kUnit;
    case LinearMixer::kHgrn2:
      return asked == FeatureMap::kSilu;
    case LinearMixer::kMamba2:
      return false;
    default:
      return true;
  }
}

// Whether phi(q) phi(k)^T, decayed as in the state, is never negative: each
// term of the product, or for the polynomial maps the product, a square.
bool ScoresKeepTheirSign(const LinearLayerForm& form) {
  if (form.rotary) return false;
  switch (form.feature_map) {
    case FeatureMap::kIdentity:
    case FeatureMap::kSilu:
    case FeatureMap::kHadamard:
    case FeatureMap::kUnit:
      return false;
    case FeatureMap::kTaylor:
    case FeatureMap::kQuadratic:
      return form.decay != StateDecay::kPerChannel;
    default:
      return true;
  }
}

// The map of a mixer, its features, and what comes after the heads.
void CheckForm(const LinearAttentionSpec& linear, Checker& check) {
  const LinearLayerForm form = FormOf(linear);
  const std::string mixer(LinearMixerName(linear.mixer));
  check.Require(
      linear.feature_map == FeatureMap::kIdentity ||
          TakesMap(linear.mixer, linear.feature_map),
      "linear.feature_map",
      absl::StrCat("is ", std::string(FeatureMapName(linear.feature_map)), "; ",
                   mixer, " has its own, ",
                   std::string(FeatureMapName(form.feature_map)),
                   ": leave it out"));
  check.Require(form.features <= kMaxHeadDim || linear.key_dim > kMaxHeadDim,
                "linear.key_dim",
                absl::StrCat("is ", linear.key_dim, ", of which the map ",
                             std::string(FeatureMapName(form.feature_map)),
                             " makes ", form.features, " features; at most ",
                             kMaxHeadDim, " per head"));
  check.Require(!form.rotary || form.features % 2 == 0, "linear.key_dim",
                absl::StrCat("is ", linear.key_dim, ", which the map ",
                             std::string(FeatureMapName(form.feature_map)),
                             " makes ", form.features, " features; ", mixer,
                             " rotates pairs and needs an even number"));
  check.Require(form.columns <= kMaxHeadDim || linear.value_dim > kMaxHeadDim,
                "linear.value_dim",
                absl::StrCat("is ", linear.value_dim,
                             ", and the normaliser takes one column more; at "
                             "most ",
                             kMaxHeadDim, " together"));
  check.Require(
      form.output_gate || !linear.output_gate, "linear.output_gate",
      absl::StrCat("is true; ", mixer, " has no output gate: leave it out"));
  const bool own_sums =
      form.delta || form.state_space || form.gate == DecayGateKind::kForget;
  check.Require(!own_sums || !form.normalised, "linear.normaliser",
                absl::StrCat("is true; what ", mixer,
                             " writes is no weighted mean: leave it out"));
  check.Require(
      own_sums || !form.normalised || ScoresKeepTheirSign(form),
      "linear.normaliser",
      absl::StrCat("is true; scores of ", mixer, " with the map ",
                   std::string(FeatureMapName(form.feature_map)),
                   " change sign, and it would divide by their sum: leave it "
                   "out"));
  check.Require(form.gate == DecayGateKind::kForget || !linear.use_lower_bound,
                "linear.use_lower_bound",
                absl::StrCat("is true; ", mixer,
                             " has no forget gate to bound: leave it out"));
  check.Require(!linear.convolution_bias || linear.short_convolution != 0,
                "linear.convolution_bias",
                "is true and linear.short_convolution 0: leave one out");
  check.Require(form.delta || !linear.allow_neg_eigval,
                "linear.allow_neg_eigval",
                absl::StrCat("is true; ", mixer,
                             " has no delta rule to allow them: leave it out"));
  check.Require(!form.needs_convolution || linear.short_convolution != 0,
                "linear.short_convolution",
                absl::StrCat("is 0; ", mixer,
                             " takes q, k and v from a convolution: say 4"));
  check.Require(
      form.gate != DecayGateKind::kForget || linear.key_heads == linear.heads,
      "linear.key_heads",
      absl::StrCat("is ", linear.key_heads, " of ", linear.heads, "; ", mixer,
                   " has a gate and a key for every head: leave it out"));
}

void CheckSoftmaxLayers(const ModelSpec& spec, Checker& check) {
  int64_t before = -1;
  for (int64_t layer : spec.softmax_layers) {
    check.Require(
        before < layer && layer < spec.layer_count, "softmax_layers",
        absl::StrCat("has ", layer, " after ", before,
                     "; places grow from 0 to ", spec.layer_count - 1));
    before = layer;
  }
  if (spec.softmax_layers.empty() || spec.layer_count < 1) return;
  check.Require(
      spec.layer_pattern == PatternOf(spec), "layer_pattern",
      absl::StrCat("is '", spec.layer_pattern, "' and softmax_layers says '",
                   PatternOf(spec), "'; write one of the two"));
}

void CheckLinear(const LinearAttentionSpec& linear, Checker& check) {
  check.InRange(linear.heads, 1, 4096, "linear.heads");
  check.InRange(linear.key_dim, 1, kMaxHeadDim, "linear.key_dim");
  check.InRange(linear.value_dim, 1, kMaxHeadDim, "linear.value_dim");
  check.Require(linear.key_heads >= 1 && linear.heads % linear.key_heads == 0,
                "linear.key_heads",
                absl::StrCat("is ", linear.key_heads,
                             "; must divide linear.heads, ", linear.heads));
  if (linear.short_convolution != 0) {
    check.InRange(linear.short_convolution, 2, 8, "linear.short_convolution");
  }
  CheckForm(linear, check);
}

void CheckSoftmax(const SoftmaxAttentionSpec& softmax, Checker& check) {
  check.InRange(softmax.heads, 1, 4096, "softmax.heads");
  check.InRange(softmax.head_dim, 2, kMaxHeadDim, "softmax.head_dim");
  check.Require(softmax.head_dim % 2 == 0, "softmax.head_dim",
                absl::StrCat("is ", softmax.head_dim,
                             "; rotary positions need an even number"));
  check.Require(
      softmax.key_heads >= 1 && softmax.heads % softmax.key_heads == 0,
      "softmax.key_heads",
      absl::StrCat("is ", softmax.key_heads, "; must divide softmax.heads, ",
                   softmax.heads));
  check.Require(
      softmax.rotary_base > 1, "softmax.rotary_base",
      absl::StrCat("is ", softmax.rotary_base, "; must be greater than 1"));
  check.Require(softmax.window >= 0, "softmax.window",
                absl::StrCat("is ", softmax.window,
                             "; use 0 for full attention or at least 1"));
}

}  // namespace

namespace {

int64_t UsualHeads(int64_t width) { return std::max<int64_t>(1, width / 64); }

// mamba2's states are wider than its hidden size, and shared by its heads.
void ResolveLinear(int64_t hidden_size, LinearAttentionSpec& linear) {
  const bool state_space = linear.mixer == LinearMixer::kMamba2;
  const int64_t width = hidden_size * (state_space ? 2 : 1);
  SetIfZero(linear.heads, UsualHeads(width));
  SetIfZero(linear.key_heads, state_space ? 1 : linear.heads);
  const int64_t heads = std::max<int64_t>(1, linear.heads);
  SetIfZero(linear.key_dim, state_space ? 128 : width / heads);
  SetIfZero(linear.value_dim, width / heads);
}

}  // namespace

ModelSpec ResolveDefaults(ModelSpec spec) {
  if (spec.layer_pattern.empty() && !spec.softmax_layers.empty()) {
    spec.layer_pattern = PatternOf(spec);
  }
  ResolveLinear(spec.hidden_size, spec.linear);
  SoftmaxAttentionSpec& softmax = spec.softmax;
  SetIfZero(softmax.heads, UsualHeads(spec.hidden_size));
  SetIfZero(softmax.key_heads, softmax.heads);
  SetIfZero(softmax.head_dim,
            spec.hidden_size / std::max<int64_t>(1, softmax.heads));
  SetIfZero(spec.mlp.intermediate_size, RoundUp(spec.hidden_size * 8 / 3, 16));
  return spec;
}

std::vector<SpecMistake> Validate(const ModelSpec& spec) {
  std::vector<SpecMistake> mistakes;
  Checker check(&mistakes);
  CheckTop(spec, check);
  CheckSoftmaxLayers(spec, check);
  if (spec.layer_pattern.find('L') != std::string::npos) {
    CheckLinear(spec.linear, check);
  }
  if (spec.layer_pattern.find('N') != std::string::npos) {
    CheckSoftmax(spec.softmax, check);
  }
  return mistakes;
}

LayerKind LayerKindAt(const ModelSpec& spec, int64_t layer) {
  LONGSPAN_CHECK(0 <= layer && layer < spec.layer_count) << "layer " << layer;
  const char letter = spec.layer_pattern[layer % spec.layer_pattern.size()];
  return letter == 'N' ? LayerKind::kSoftmax : LayerKind::kLinear;
}

bool HasLayer(const ModelSpec& spec, LayerKind kind) {
  return CountLayers(spec, kind) > 0;
}

int64_t CountLayers(const ModelSpec& spec, LayerKind kind) {
  int64_t count = 0;
  for (int64_t layer = 0; layer < spec.layer_count; ++layer) {
    count += LayerKindAt(spec, layer) == kind ? 1 : 0;
  }
  return count;
}

std::string_view LinearMixerName(LinearMixer mixer) {
  switch (mixer) {
    case LinearMixer::kBasic:
      return "basic";
    case LinearMixer::kLightning:
      return "lightning";
    case LinearMixer::kRetention:
      return "retention";
    case LinearMixer::kSimpleGla:
      return "simple_gla";
    case LinearMixer::kGla:
      return "gla";
    case LinearMixer::kBased:
      return "based";
    case LinearMixer::kRebased:
      return "rebased";
    case LinearMixer::kHedgehog:
      return "hedgehog";
    case LinearMixer::kLawcat:
      return "lawcat";
    case LinearMixer::kDeltaNet:
      return "deltanet";
    case LinearMixer::kGatedDeltaNet:
      return "gated_deltanet";
    case LinearMixer::kKda:
      return "kda";
    case LinearMixer::kHgrn2:
      return "hgrn2";
    case LinearMixer::kMamba2:
      return "mamba2";
  }
  return "unknown";
}

std::string_view FeatureMapName(FeatureMap map) {
  switch (map) {
    case FeatureMap::kIdentity:
      return "identity";
    case FeatureMap::kSilu:
      return "silu";
    case FeatureMap::kElu:
      return "elu";
    case FeatureMap::kRelu:
      return "relu";
    case FeatureMap::kSoftmax:
      return "softmax";
    case FeatureMap::kTaylor:
      return "taylor";
    case FeatureMap::kQuadratic:
      return "quadratic";
    case FeatureMap::kHedgehogExp:
      return "hedgehog_exp";
    case FeatureMap::kHedgehogSoftmax:
      return "hedgehog_softmax";
    case FeatureMap::kHedgehogHalves:
      return "hedgehog_halves";
    case FeatureMap::kHadamard:
      return "hadamard";
    case FeatureMap::kDpfp:
      return "dpfp";
    case FeatureMap::kUnit:
      return "unit";
  }
  return "unknown";
}

namespace {

// What the backend cuda lacks of a model.
class CudaGaps {
 public:
  std::vector<SpecMistake> Of(const ModelSpec& spec) {
    AtMost(spec.hidden_size, kernels::kCudaNormSize, "hidden_size",
           "norms of rows of");
    if (spec.layer_pattern.find('L') != std::string::npos) {
      CheckLinear(spec.linear);
    }
    if (spec.layer_pattern.find('N') != std::string::npos) {
      AtMost(spec.softmax.head_dim, kernels::kCudaAttentionMaxHeadDim,
             "softmax.head_dim", "softmax attention with heads of");
    }
    return std::move(missing_);
  }

 private:
  void CheckLinear(const LinearAttentionSpec& linear) {
    const LinearLayerForm form = FormOf(linear);
    const std::string mixer =
        absl::StrCat(" (", std::string(LinearMixerName(linear.mixer)), ")");
    Require(!form.delta, "linear.mixer", absl::StrCat("the delta rule", mixer));
    Require(form.delta || form.decay != StateDecay::kPerChannel, "linear.mixer",
            absl::StrCat("a gate per channel", mixer));
    Require(!form.state_space, "linear.mixer",
            absl::StrCat("time steps", mixer));
    Require(linear.key_heads == linear.heads, "linear.key_heads",
            "fewer heads of q and k than of v");
    const bool maps = form.feature_map == FeatureMap::kIdentity ||
                      form.feature_map == FeatureMap::kSilu;
    Require(maps, "linear.feature_map",
            absl::StrCat("the feature map ",
                         std::string(FeatureMapName(form.feature_map))));
    Require(!linear.convolution_bias, "linear.convolution_bias",
            "a bias of the short convolution");
    Require(!form.normalised, "linear.normaliser",
            "the normaliser of linear attention");
    constexpr char kHeads[] = "linear attention with heads of";
    AtMost(linear.key_dim, kernels::kCudaMaxHeadDim, "linear.key_dim", kHeads);
    AtMost(linear.value_dim, kernels::kCudaMaxHeadDim, "linear.value_dim",
           kHeads);
  }

  void AtMost(int64_t size, int64_t limit, const char* field,
              const char* what) {
    Require(size <= limit, field,
            absl::StrCat(what, " ", size, " (at most ", limit, ")"));
  }

  void Require(bool has, const char* field, const std::string& what) {
    check_.Require(has, field,
                   absl::StrCat("needs ", what,
                                ", which the backend cuda does not have yet; "
                                "the backend cpu has it"));
  }

  std::vector<SpecMistake> missing_;
  Checker check_{&missing_};
};

}  // namespace

std::vector<SpecMistake> MissingOnCuda(const ModelSpec& spec) {
  return CudaGaps().Of(spec);
}

namespace {

// ALiBi slopes 2^(-8 (h+1) / H) for H a power of two.
std::vector<double> PowerOfTwoSlopes(int64_t heads) {
  std::vector<double> slopes(heads);
  for (int64_t h = 0; h < heads; ++h) {
    slopes[h] = std::exp2(-8.0 * (h + 1) / heads);
  }
  return slopes;
}

// Other counts take the slopes of the power of two below, then every second
// one of the power above.
std::vector<double> AlibiSlopes(int64_t heads) {
  int64_t below = 1;
  while (below * 2 <= heads) below *= 2;
  std::vector<double> slopes = PowerOfTwoSlopes(below);
  const std::vector<double> above = PowerOfTwoSlopes(2 * below);
  for (int64_t h = 0; below + h < heads; ++h) slopes.push_back(above[2 * h]);
  return slopes;
}

}  // namespace

std::vector<double> LogDecays(LinearMixer mixer, int64_t heads) {
  std::vector<double> decays(heads, 0.0);
  if (mixer == LinearMixer::kLightning) {
    const std::vector<double> slopes = AlibiSlopes(heads);
    for (int64_t h = 0; h < heads; ++h) decays[h] = -slopes[h];
  } else if (mixer == LinearMixer::kRetention) {
    for (int64_t h = 0; h < heads; ++h) {
      decays[h] = std::log1p(-std::exp2(-5.0 - static_cast<double>(h)));
    }
  }
  return decays;
}

}  // namespace longspan
