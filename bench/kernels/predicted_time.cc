#include "bench/kernels/predicted_time.h"

#include <algorithm>

#include "kernels/cost/cuda_linear_attention_plan.h"

namespace longspan::bench {
namespace {

using kernels::LinearAttentionStage;

constexpr double kLaunchSeconds = 4e-6;

double TokenHeads(const AttentionSize& size) {
  return static_cast<double>(size.batch) * size.tokens * size.heads;
}

// What the plan of the call moves and computes.
Cost DesignCost(const AttentionSize& size, LinearAttentionStage stage,
                bool gated) {
  kernels::LinearAttentionShape shape;
  shape.batch = size.batch;
  shape.tokens = size.tokens;
  shape.heads = size.heads;
  shape.key_dim = shape.value_dim = size.dim;
  shape.element_bytes = size.element_bytes;
  const kernels::CudaLinearAttentionCost plan =
      kernels::PredictCudaLinearAttention(stage, shape, gated);
  Cost cost;
  cost.design_bytes = plan.bytes;
  cost.operations = plan.operations;
  return cost;
}

}  // namespace

std::string AttentionSize::name() const {
  return "B" + std::to_string(batch) + "_T" + std::to_string(tokens) + "_H" +
         std::to_string(heads) + "_D" + std::to_string(dim);
}

double FloorMs(const Cost& cost, const Device& device) {
  return 1e3 * cost.floor_bytes / device.bytes_per_second;
}

double PredictedMs(const Cost& cost, const Device& device) {
  const double bytes = cost.design_bytes / device.bytes_per_second;
  const double operations =
      cost.operations / (cost.reachable * device.operations_per_second);
  return 1e3 * (std::max(bytes, operations) + cost.launches * kLaunchSeconds);
}

// The floor: q, k, v in, o out.
Cost LinearForwardCost(const AttentionSize& size, bool gated) {
  Cost cost = DesignCost(size, LinearAttentionStage::kOutputs, gated);
  const double gate = gated ? 4 : 0;
  cost.floor_bytes =
      TokenHeads(size) * (4.0 * size.dim * size.element_bytes + gate);
  cost.launches = 3;  // summaries, fold, outputs
  return cost;
}

// The floor: q, k, v, do in, dq, dk, dv out.
Cost LinearBackwardCost(const AttentionSize& size, bool gated) {
  Cost cost = DesignCost(size, LinearAttentionStage::kGradients, gated);
  const double gate = gated ? 8 : 0;
  cost.floor_bytes =
      TokenHeads(size) * (7.0 * size.dim * size.element_bytes + gate);
  cost.launches = gated ? 5 : 3;  // gates: tables, and sums of their gradients
  return cost;
}

Cost SoftmaxForwardCost(const AttentionSize& size) {
  Cost cost;
  cost.floor_bytes = TokenHeads(size) * 4.0 * size.dim * size.element_bytes;
  cost.design_bytes = cost.floor_bytes;
  cost.operations = TokenHeads(size) * 2.0 * size.tokens * size.dim;
  cost.reachable = 0.45;
  return cost;
}

// Five products of the forward's two; our dq and dk, dv passes do seven.
Cost SoftmaxBackwardCost(const AttentionSize& size) {
  Cost cost = SoftmaxForwardCost(size);
  cost.floor_bytes = TokenHeads(size) * 8.0 * size.dim * size.element_bytes;
  cost.design_bytes = 1.5 * cost.floor_bytes;
  cost.operations *= 3.5;
  cost.launches = 3;
  return cost;
}

Cost MatMulCost(int64_t m, int64_t n, int64_t k, int64_t element_bytes) {
  Cost cost;
  const double elements = static_cast<double>(m) * k +
                          static_cast<double>(k) * n +
                          static_cast<double>(m) * n;
  cost.floor_bytes = cost.design_bytes = elements * element_bytes;
  cost.operations = 2.0 * m * n * k;
  cost.reachable = 0.85;
  return cost;
}

Cost StreamingCost(double bytes) {
  Cost cost;
  cost.floor_bytes = cost.design_bytes = bytes;
  return cost;
}

Cost operator+(const Cost& a, const Cost& b) {
  Cost sum = a;
  sum.floor_bytes += b.floor_bytes;
  sum.design_bytes += b.design_bytes;
  sum.operations += b.operations;
  sum.launches += b.launches;
  return sum;
}

}  // namespace longspan::bench
