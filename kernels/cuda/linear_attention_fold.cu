// Composition of summaries: of the segments of a range, and of ranks.
#include "kernels/cuda/cuda_status.h"
#include "kernels/cuda/device/device.h"
#include "kernels/cuda/linear_attention_kernels.h"

namespace longspan::kernels::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kAhead = 8;  // summaries whose loads are under way together

struct FoldElement {
  int64_t b, h, y, z;

  LONGSPAN_DEVICE int64_t In(const StateSlots& slots) const {
    return b * slots.stride_b + h * slots.stride_h + y * slots.stride_y +
           z * slots.stride_z;
  }
};

LONGSPAN_DEVICE FoldElement ElementOf(const FoldParams& p, int64_t index) {
  FoldElement element;
  element.z = index % p.z_dim;
  index /= p.z_dim;
  element.y = index % p.y_dim;
  index /= p.y_dim;
  element.h = index % p.heads;
  element.b = index / p.heads;
  return element;
}

// A thread per element of the state; its summaries are folded in order.
LONGSPAN_KERNEL(kThreads, 1) FoldKernel(const FoldParams p) {
  const int64_t index = BlockIndex() * kThreads + ThreadIndex();
  if (index >= p.batch * p.heads * p.y_dim * p.z_dim) return;
  const FoldElement element = ElementOf(p, index);
  const float* decays = p.log_decays + element.b * p.decay_stride_b +
                        element.h * p.decay_stride_h;
  float* states = p.states.data + element.In(p.states);
  float state =
      p.initial.data == nullptr ? 0.0f : p.initial.data[element.In(p.initial)];
  const bool reads_last = p.result.data != nullptr;
  for (int64_t n0 = 0; n0 < p.count; n0 += kAhead) {
    float added[kAhead];
    float factor[kAhead];
    LONGSPAN_UNROLL
    for (int i = 0; i < kAhead; ++i) {
      const int64_t n = n0 + i;
      const int64_t at = p.reverse ? p.count - 1 - n : n;
      const bool reads = reads_last ? n < p.count : n + 1 < p.count;
      added[i] = reads ? states[at * p.states.stride_segment] : 0.0f;
      factor[i] =
          reads ? Exp2(p.to_log2 * decays[at * p.decay_stride_segment]) : 1.0f;
    }
    LONGSPAN_UNROLL
    for (int i = 0; i < kAhead; ++i) {
      const int64_t n = n0 + i;
      const int64_t at = p.reverse ? p.count - 1 - n : n;
      if (p.exclusive && n < p.count) {
        states[at * p.states.stride_segment] = state;
      }
      // A reset forgets even what is not finite.
      state = factor[i] == 0.0f ? added[i] : factor[i] * state + added[i];
    }
  }
  if (p.result.data != nullptr) {
    p.result.data[element.In(p.result)] = state;
  }
}

}  // namespace

absl::Status LaunchFold(const FoldParams& params, void* stream) {
  const int64_t elements =
      params.batch * params.heads * params.y_dim * params.z_dim;
  const LaunchShape shape = {(elements + kThreads - 1) / kThreads, kThreads, 0};
  return LaunchStatus(LaunchKernel(FoldKernel, shape, stream, params),
                      "FoldKernel", shape);
}

}  // namespace longspan::kernels::cuda
