// The instances of the forward kernel, and the kernel that joins splits.
#include "kernels/cuda/softmax_attention_forward.h"
#include "kernels/cuda/softmax_attention_launch.h"

namespace longspan::kernels::cuda {
namespace {

// A warp per row of a unit: the outputs of all splits, weighted with their
// share of the row's sum of exponentials, in the order of the splits.
template <int kDim, int kPlanes>
LONGSPAN_KERNEL(kCudaAttentionThreads, 1)
JoinSplitsKernel(const SoftmaxForwardParams p) {
  const int64_t row_count = p.shape.order.units * p.rows;
  const int64_t at = BlockIndex() * kCudaAttentionWarps + WarpIndex();
  if (at >= row_count) return;
  float max = kMinusInfinity;
  for (int s = LaneIndex(); s < p.splits; s += 32) {
    max = fmaxf(max, p.partial_log_sum[s * row_count + at]);
  }
  max = WarpMax(max);
  const float base = max == kMinusInfinity ? 0.0f : max;
  float total = 0.0f;
  for (int s = LaneIndex(); s < p.splits; s += 32) {
    total += Exp2(p.partial_log_sum[s * row_count + at] - base);
  }
  total = WarpSum(total);
  const float factor = total > 0.0f ? 1.0f / total : 0.0f;
  float o[kDim / 32] = {};
  for (int s = 0; s < p.splits; ++s) {
    const float weight =
        Exp2(p.partial_log_sum[s * row_count + at] - base) * factor;
    const float* from = p.partial_o + (s * row_count + at) * kDim;
    LONGSPAN_UNROLL
    for (int i = 0; i < kDim / 32; ++i) {
      o[i] += weight * from[32 * i + LaneIndex()];
    }
  }
  const int row = static_cast<int>(at % p.rows);
  const int units_per_batch = p.shape.heads / p.packed_heads;
  const int64_t batch = at / p.rows / units_per_batch;
  const int64_t head = at / p.rows % units_per_batch * p.packed_heads;
  const int64_t offset = batch * p.o.batch_stride +
                         (head + row % p.packed_heads) * p.o.head_stride +
                         row / p.packed_heads * p.o.token_stride;
  LONGSPAN_UNROLL
  for (int i = 0; i < kDim / 32; ++i) {
    const int column = 32 * i + LaneIndex();
    if (column >= p.shape.head_dim) continue;
    if constexpr (kPlanes == 1) {
      static_cast<Bf16*>(p.o.data)[offset + column] = ToBf16(o[i]);
    } else {
      static_cast<float*>(p.o.data)[offset + column] = o[i];
    }
  }
  if (LaneIndex() == 0) {
    StoreLse(p, batch, head, row,
             total > 0.0f ? base + Log2(total) : kMinusInfinity);
  }
}

template <int kDim, int kPlanes, int kWarpRows>
int Launch(const CudaAttentionForwardPlan& plan,
           const SoftmaxForwardParams& params, void* native_stream) {
  const int error = LaunchKernel(
      SoftmaxForwardKernel<kDim, kPlanes, kWarpRows>,
      {plan.grid.blocks, kCudaAttentionThreads, plan.grid.tile.shared_bytes},
      native_stream, params);
  if (error != 0 || plan.splits == 1) return error;
  const int64_t rows = plan.grid.units * plan.rows;
  return LaunchKernel(JoinSplitsKernel<kDim, kPlanes>,
                      {(rows + kCudaAttentionWarps - 1) / kCudaAttentionWarps,
                       kCudaAttentionThreads, 0},
                      native_stream, params);
}

}  // namespace

int LaunchSoftmaxForward(const CudaAttentionForwardPlan& plan,
                         const SoftmaxForwardParams& params,
                         void* native_stream) {
  const bool wide = plan.warp_rows == 32;
  switch (plan.padded_dim * plan.planes + plan.planes) {
    case 64 + 1:
      return wide ? Launch<64, 1, 32>(plan, params, native_stream)
                  : Launch<64, 1, 16>(plan, params, native_stream);
    case 128 + 1:
      return wide ? Launch<128, 1, 32>(plan, params, native_stream)
                  : Launch<128, 1, 16>(plan, params, native_stream);
    case 256 + 1:
      return Launch<256, 1, 16>(plan, params, native_stream);
    case 128 + 2:
      return Launch<64, 2, 16>(plan, params, native_stream);
    case 256 + 2:
      return Launch<128, 2, 16>(plan, params, native_stream);
    default:
      return Launch<256, 2, 16>(plan, params, native_stream);
  }
}

}  // namespace longspan::kernels::cuda
