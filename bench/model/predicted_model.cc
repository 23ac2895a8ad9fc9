#include "bench/model/predicted_model.h"

#include <algorithm>

#include "common/model_spec/model_state_spec.h"
#include "common/model_spec/parameter_layout.h"

namespace longspan::bench {
namespace {

constexpr double kProductRate = 0.80;    // of the matrix rate
constexpr double kStreamingRate = 0.85;  // of the bandwidth
// Norms 2 + 2 forward and 3 + 4 backward, each twice; the norm of the heads;
// residual adds 3, each twice and as often backward; the gate's cast.
constexpr double kRowPasses = 40.0;
constexpr double kGatePasses = 8.0;  // SwiGLU 3, backward 5
constexpr double kOptimizerBytes = 34.0;
constexpr double kElementBytes = 2.0;
constexpr double kLaunchesPerLayer = 16.0;
constexpr double kLaunchSeconds = 4e-6;
constexpr double kHostSeconds = 1e-4;  // logits to the host, and sampling

AttentionSize SizeOf(const ModelSpec& spec, LayerKind kind, int64_t tokens) {
  const bool linear = kind == LayerKind::kLinear;
  return {1, tokens, linear ? spec.linear.heads : spec.softmax.heads,
          linear ? spec.linear.value_dim : spec.softmax.head_dim, 2};
}

double AttentionMs(const ModelSpec& spec, LayerKind kind, int64_t tokens,
                   const Device& device) {
  const AttentionSize size = SizeOf(spec, kind, tokens);
  if (kind == LayerKind::kSoftmax) {
    return PredictedMs(SoftmaxForwardCost(size), device) +
           PredictedMs(SoftmaxBackwardCost(size), device);
  }
  const bool gated = spec.linear.mixer == LinearMixer::kSimpleGla;
  return PredictedMs(LinearForwardCost(size, gated), device) +
         PredictedMs(LinearBackwardCost(size, gated), device);
}

double StreamingMs(double bytes, const Device& device) {
  return 1e3 * bytes / (kStreamingRate * device.bytes_per_second);
}

}  // namespace

double MatrixElements(const ModelSpec& spec) {
  double elements = 0.0;
  for (const ParameterInfo& info : LayoutParameters(spec).parameters) {
    const bool embedding =
        info.name.find("embed") != std::string::npos && !spec.tie_embeddings;
    if (info.shape.size() == 2 && !embedding) elements += info.count;
  }
  return elements;
}

StepPrediction PredictTrainStep(const ModelSpec& spec, int64_t tokens,
                                const Device& device) {
  const double n = static_cast<double>(tokens);
  StepPrediction step;
  step.products_ms = 1e3 * 6.0 * MatrixElements(spec) * n /
                     (kProductRate * device.operations_per_second);
  for (int64_t layer = 0; layer < spec.layer_count; ++layer) {
    step.attention_ms +=
        AttentionMs(spec, LayerKindAt(spec, layer), tokens, device);
  }
  const double row_elements = spec.layer_count * n *
                              (kRowPasses * spec.hidden_size +
                               kGatePasses * spec.mlp.intermediate_size);
  step.row_ops_ms = StreamingMs(row_elements * kElementBytes, device);
  step.optimizer_ms =
      StreamingMs(kOptimizerBytes * ParameterCount(spec), device);
  return step;
}

double PredictTokenMs(const ModelSpec& spec, int64_t context_tokens,
                      const Device& device) {
  // The states are read and written; keys and values are only read.
  const double state = static_cast<double>(
      StateBytes(spec, {.context_tokens = context_tokens}, kElementBytes));
  const double bytes = kElementBytes * MatrixElements(spec) + 2.0 * state;
  const double launches = kLaunchesPerLayer * spec.layer_count * kLaunchSeconds;
  return 1e3 * kHostSeconds +
         std::max(StreamingMs(bytes, device), 1e3 * launches);
}

}  // namespace longspan::bench
