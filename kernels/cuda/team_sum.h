// Sums over a team of threads: `lanes` neighbours in a block, a power of two.
// Device code.
//
// Every thread of the team gets the same bits, and the order depends on
// `lanes` only: a butterfly within the warp, then the warps in order.
#pragma once

#include "kernels/cuda/device/device.h"

namespace longspan::kernels::cuda {

// Values that TeamSum keeps in shared memory: one per warp and phase.
inline constexpr int kTeamSumFloats = 2 * kMaxBlockThreads / kWarpThreads;

// All threads of the block take part. `phase` alternates between 0 and 1 from
// call to call, so that one barrier a call is enough.
template <typename T>
LONGSPAN_DEVICE T TeamSum(T value, int lanes, T* shared, int phase) {
  for (int mask = 1; mask < lanes && mask < kWarpThreads; mask *= 2) {
    value += ShuffleXor(value, mask);
  }
  if (lanes <= kWarpThreads) return value;
  T* sums = shared + phase * (kTeamSumFloats / 2);
  if (LaneIndex() == 0) sums[WarpIndex()] = value;
  SyncBlock();
  const int warps = lanes / kWarpThreads;
  const int first = WarpIndex() / warps * warps;
  T sum = sums[first];
  for (int warp = 1; warp < warps; ++warp) sum += sums[first + warp];
  return sum;
}

}  // namespace longspan::kernels::cuda
