// What a model is: Linear-Llama3 blocks (pre-norm, mixer, SwiGLU, residuals)
// under a pattern of linear (L) and softmax (N) layers.
//
// Plain structs without behaviour. A spec as a person writes it may leave
// sizes at 0, which means "the usual"; ResolveDefaults() fills them in.
// Everything else in this directory and in worker/model takes a resolved and
// valid spec.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace longspan {

enum class LayerKind { kLinear, kSoftmax };

// The recurrence S_t = a_t S_{t-1} + k_t^T v_t of the linear layers:
//   basic       a = 1 (LASP-2's basic linear attention)
//   lightning   a = exp(-slope_h), ALiBi-like slopes 2^(-8 (h+1) / H)
//   retention   a = 1 - 2^(-5-h), rotary positions on q and k
//   simple_gla  a_t = sigmoid(x_t w_h + b_h)^(1/16), per token and head
//   gla         the same per channel of the key, from a projection of rank 16
//   based, rebased, hedgehog  a = 1, a feature map and a normaliser
//   lawcat      gla's gate, a hedgehog map and a normaliser
//   deltanet    S_t = S_{t-1} + beta_t k_t^T (v_t - k_t S_{t-1}), delta rule
//   gated_      the same on a_t S_{t-1}, with
//   deltanet    a_t = exp(-e^A softplus(x_t w_h + b_h)) per token and head
//   kda         the same with a_t per channel of the key
//   hgrn2       a_t = sigmoid(f_t) per channel, and k_t = 1 - a_t
//   mamba2      gated_deltanet's a_t without the delta rule, v_t times its step
// linear_layer_form.h has what else they differ in.
enum class LinearMixer {
  kBasic,
  kLightning,
  kRetention,
  kSimpleGla,
  kGla,
  kBased,
  kRebased,
  kHedgehog,
  kLawcat,
  kDeltaNet,
  kGatedDeltaNet,
  kKda,
  kHgrn2,
  kMamba2
};

// Applied to every head of q and k; kernels/api/feature_map.h has equations
// and sources. kIdentity stands for a mixer's own map where it has one.
enum class FeatureMap {
  kIdentity,
  kSilu,
  kElu,  // elu(x) + 1
  kRelu,
  kSoftmax,
  kTaylor,
  kQuadratic,
  kHedgehogExp,
  kHedgehogSoftmax,
  kHedgehogHalves,
  kHadamard,
  kDpfp,
  kUnit  // x / |x|
};

// How the projections that write into the residual stream start.
enum class OutputInitializer {
  kScaled,  // divided by sqrt(2 * layers)
  kZero     // every block starts as the identity
};

struct LinearAttentionSpec {
  LinearMixer mixer = LinearMixer::kSimpleGla;
  // 0: one per 64 of hidden_size (mamba2: of its double), at least one.
  int64_t heads = 0;
  // Of q and k, each for heads / key_heads of v; 0: heads (mamba2: 1).
  int64_t key_heads = 0;
  int64_t key_dim = 0;    // per head; 0: hidden_size / heads (mamba2: 128)
  int64_t value_dim = 0;  // per head; 0: hidden_size / heads (mamba2: double)
  FeatureMap feature_map = FeatureMap::kIdentity;
  // Kernel size of the causal convolution with silu on q, k and v; 0: none.
  int64_t short_convolution = 4;
  bool convolution_bias = false;  // before the silu, one number per channel
  // o <- norm(o) * silu(x Wg); mixers that always gate need no word here.
  bool output_gate = true;
  // Divides o by phi(q) sum phi(k), which must not change sign; mixers that
  // always do need no word here.
  bool normaliser = false;
  // The delta rule with beta in (0, 2) instead of (0, 1), so that what a token
  // does to the state along its key may change its sign (arXiv 2411.12537).
  bool allow_neg_eigval = false;
  // hgrn2: gates of a layer stay above a learned bound, higher layer by layer;
  // one parameter of the model, model.lower_bounds.
  bool use_lower_bound = false;
};

struct SoftmaxAttentionSpec {
  int64_t heads = 0;      // 0: one per 64 of hidden_size, at least one
  int64_t key_heads = 0;  // grouped queries; 0: heads
  int64_t head_dim = 0;   // 0: hidden_size / heads
  double rotary_base = 10000.0;
  int64_t window = 0;  // 0: full causal; else a token sees itself and the
                       // window - 1 tokens before it
};

struct MlpSpec {
  int64_t intermediate_size = 0;  // 0: 8/3 hidden_size, rounded up to 16
};

struct ModelSpec {
  int64_t vocabulary_size = 256;
  int64_t hidden_size = 512;
  int64_t layer_count = 8;
  // Letters L and N, repeated or cut to layer_count: "LLLN" with six layers
  // is LLLNLL.
  std::string layer_pattern = "LLLN";
  // The places of the softmax layers, counted from 0, instead of a pattern;
  // ResolveDefaults() writes the pattern that they make.
  std::vector<int64_t> softmax_layers;
  LinearAttentionSpec linear;
  SoftmaxAttentionSpec softmax;
  MlpSpec mlp;
  double norm_epsilon = 1e-6;
  bool tie_embeddings = false;
  // Standard deviation of initial weights; 0: 1 / sqrt(inputs) of each matrix.
  double initializer_scale = 0.02;
  OutputInitializer output_initializer = OutputInitializer::kScaled;
};

// The spec with every 0 that means "the usual" replaced. Sizes that cannot be
// derived (hidden_size 0) stay as they are for Validate() to report.
ModelSpec ResolveDefaults(ModelSpec spec);

// One mistake: where ("linear.heads") and what, with the value and the limit.
struct SpecMistake {
  std::string path;
  std::string message;
};

// All mistakes of a resolved spec; empty when it is valid.
std::vector<SpecMistake> Validate(const ModelSpec& spec);

// What the CUDA backend does not have of a valid spec, by name.
std::vector<SpecMistake> MissingOnCuda(const ModelSpec& spec);

LayerKind LayerKindAt(const ModelSpec& spec, int64_t layer);
bool HasLayer(const ModelSpec& spec, LayerKind kind);
int64_t CountLayers(const ModelSpec& spec, LayerKind kind);

// "basic", "lightning", ... as in a job file.
std::string_view LinearMixerName(LinearMixer mixer);
std::string_view FeatureMapName(FeatureMap map);  // "elu", "hedgehog_exp", ...

// log(a) per head for the mixers with a constant transition; 0 for others.
std::vector<double> LogDecays(LinearMixer mixer, int64_t heads);

// The divisor of the log gates of simple_gla, gla and lawcat.
inline constexpr double kGateNormalizer = 16.0;

}  // namespace longspan
