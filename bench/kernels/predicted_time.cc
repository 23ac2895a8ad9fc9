#include "bench/kernels/predicted_time.h"

#include <algorithm>

namespace longspan::bench {
namespace {

constexpr double kChunk = 64;        // tokens
constexpr double kSavedEvery = 256;  // tokens between kept states
constexpr double kStateBytes = 2;    // kept states are bf16
constexpr double kLaunchSeconds = 4e-6;

double TokenHeads(const AttentionSize& size) {
  return static_cast<double>(size.batch) * size.tokens * size.heads;
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

// q, k, v in, o out; pass 1 reads k and v once more.
Cost LinearForwardCost(const AttentionSize& size, bool gated) {
  const double d = size.dim, e = size.element_bytes;
  const double gate = gated ? 4 : 0;
  Cost cost;
  cost.floor_bytes = TokenHeads(size) * (4 * d * e + gate);
  cost.design_bytes = TokenHeads(size) * (6 * d * e + 2 * gate);
  cost.operations = TokenHeads(size) * (4 * kChunk * d + 6 * d * d);
  cost.launches = 3;  // summaries, fold, outputs
  return cost;
}

// q, k, v, do in, dq, dk, dv out; the kept states come and go, and the reverse
// summaries read q and do once more.
Cost LinearBackwardCost(const AttentionSize& size, bool gated) {
  const double d = size.dim, e = size.element_bytes;
  const double gate = gated ? 8 : 0;
  const double states = 2 * d * d * kStateBytes / kSavedEvery;
  Cost cost;
  cost.floor_bytes = TokenHeads(size) * (7 * d * e + gate);
  cost.design_bytes = TokenHeads(size) * (9 * d * e + states + gate);
  cost.operations = TokenHeads(size) * (10 * kChunk * d + 12 * d * d);
  cost.launches = 3;
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
