// What a linear attention layer is made of. The published layers differ in a
// few places; this is the one table of them, read by the parameters, by every
// plan and by the layer itself (worker/model):
//
//   mixer       decay        feature map        normaliser  after the heads
//   basic       none         any                on request  norm
//   lightning   per head,    any                on request  norm
//               constant
//   retention   the same, and rotary positions on q and k
//   simple_gla  per head     any                on request  norm
//               and token
//   gla         per channel  any                on request  norm
//               and token
//   based       none         taylor             1e-12       nothing
//   rebased     none         quadratic, shared  1e-5        nothing
//   hedgehog    none         any hedgehog       1e-6        nothing
//   lawcat      as gla       hedgehog_halves,   1e-6        nothing
//                            shared
//   deltanet    none; delta  unit               no          norm
//   gated_      per head,    unit               no          norm
//   deltanet    softplus;
//               delta
//   kda         per channel, unit               no          norm, gated by a
//               softplus;                                   sigmoid
//               delta
//   hgrn2       per channel, silu of q,         no          norm of all heads
//               forget       forget of k                    together
//   mamba2      per head,    identity           no          silu(z), then norm
//               softplus                                    of a group's heads
//
// `shared`: q and k have one map, not one each. `norm` is RMSNorm per head,
// gated with output_gate. The short convolution takes q, k and v and ends in
// silu; lawcat's takes q and k and has none, nor has hgrn2's.
//
// `delta`: the delta rule with a write strength beta = sigmoid(x Wb) per head,
// twice that with allow_neg_eigval.
// The gate is logsigmoid(x Wa + b) / 16; `softplus`: -e^A softplus(x Wa + b);
// `forget`: k = 1 - e^gate with the gate logsigmoid of what would be k.
// With use_lower_bound it lies between a bound of the layer and 1.
// mamba2 projects [z, x, B, C, dt] in one matrix; its v is x times the step
// softplus(dt + b), its k and q are B and C, and D x is added to its outputs.
//
// Heads of q and k may be fewer than those of v (key_heads): each serves
// heads / key_heads of them. mamba2's number is its n_groups, and its norm is
// of the heads of a group.
//
// Sources: fla's layers linear_attn, retnet, simple_gla, gla, based and rebased
// (the last two in the form of their papers, arXiv 2402.18668 and 2402.10644),
// delta_net, gated_deltanet, kda, hgrn2 and mamba2 (with
// rmsnorm, without biases of its projections);
// Lightning Attention-2 (2401.04658), Hedgehog (2402.04347), LAWCAT
// (2509.18467). Based interleaves its linear layers with softmax layers of a
// window of 64: layer_pattern "LN" and softmax.window 64.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/model_spec/model_spec.h"
#include "common/model_spec/parameter_layout.h"
#include "kernels/cost/workspace.h"

namespace longspan {

// What forgets: nothing, exp(constant) per head, a gate per token and head, a
// gate per token, head and row of the state.
enum class StateDecay { kNone, kConstant, kPerHead, kPerChannel };

// Which function makes the gate.
enum class DecayGateKind { kLogSigmoid, kSoftplus, kForget };

// What stands between the heads and the output projection.
enum class OutputStage {
  kPlain,        // nothing
  kHeadNorm,     // norm per head, times silu of the output gate if there is one
  kSigmoidGate,  // norm per head, times sigmoid of the output gate
  kWholeNorm,    // norm of all heads together
  kGatedThenNorm  // norm per group of heads, of silu(output gate) times them
};

struct LinearLayerForm {
  StateDecay decay = StateDecay::kNone;
  DecayGateKind gate = DecayGateKind::kLogSigmoid;
  int64_t gate_rank = 0;  // of the projection behind a gate per channel
  bool delta = false;
  bool state_space = false;  // mamba2's projection, time step and skip
  bool rotary = false;
  FeatureMap feature_map = FeatureMap::kIdentity;
  bool shared_map = false;
  bool normalised = false;
  double normaliser_epsilon = 0.0;
  OutputStage output = OutputStage::kHeadNorm;
  bool output_gate = false;
  int64_t output_gate_rank = 0;  // of the projection behind it; 0: none
  bool needs_convolution = false;
  bool convolves_values = true;
  bool convolution_silu = true;
  double scale = 1.0;    // of o
  int64_t features = 0;  // rows of a head's state: q and k after the map
  int64_t columns = 0;   // of a head's state: values and the normaliser's one
};

LinearLayerForm FormOf(const LinearAttentionSpec& linear);

// Numbers that the output norm takes together: a head's, a group's or all.
int64_t OutputNormSize(const LinearAttentionSpec& linear);

// Its weights: a head's, which the heads share, or one for every number.
int64_t OutputNormWeights(const LinearAttentionSpec& linear);

// Of a channel of the short convolution: its taps, and a bias if it has one,
// which is to a workspace what one more tap is.
int64_t ConvolutionParameters(const LinearAttentionSpec& linear);

// Numbers of log gate per token.
int64_t GateWidth(const LinearAttentionSpec& linear);

// What a range of tokens does to a state that enters it: numbers per batch
// element (one a head, one a row of the state, or a matrix a head), and whether
// they depend on the tokens, so that ranks have to be told.
kernels::LinearAttentionDecay DecayKind(const LinearLayerForm& form);
int64_t RangeDecayCount(const LinearAttentionSpec& linear);
bool RangeDecayTravels(const LinearLayerForm& form);

// A learned part of a feature map for heads of key_dim.
struct MapParameter {
  std::string name;  // "layer1.weight", behind feature_map_q. and the like
  int64_t rows = 0;
  int64_t columns = 0;  // 0: a vector
  InitialValue initial = InitialValue::kNormal;

  int64_t count() const { return rows * (columns == 0 ? 1 : columns); }
};

// In the order weight, bias, second weight, second bias; empty for maps
// without parameters.
std::vector<MapParameter> MapParameters(FeatureMap map, int64_t key_dim);

// "feature_map." or "feature_map_q." and "feature_map_k.".
std::vector<std::string> MapPrefixes(const LinearLayerForm& form);

}  // namespace longspan
