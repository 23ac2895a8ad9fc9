#pragma once

#include <cstdint>

#include "kernels/cuda/device/qualifiers.h"

#if !LONGSPAN_CUDA_NATIVE
#include <cstring>

#include "kernels/cuda/device/emulated/block_runner.h"
#endif

// Values between the lanes of a warp (shfl.sync, all 32 lanes take part), for
// T one of float, double, int, uint32_t, int64_t, uint64_t:
//
//   Shuffle(value, lane)       what `lane` handed in
//   ShuffleXor(value, mask)    what lane ^ mask handed in
//   ShuffleUp(value, delta)    what lane - delta handed in; own value below 0
//   ShuffleDown(value, delta)  what lane + delta handed in; own value above 31

namespace longspan::kernels::cuda {

#if LONGSPAN_CUDA_NATIVE

inline constexpr unsigned kAllLanes = 0xFFFFFFFFu;

template <typename T>
LONGSPAN_DEVICE T Shuffle(T value, int lane) {
  return __shfl_sync(kAllLanes, value, lane);
}
template <typename T>
LONGSPAN_DEVICE T ShuffleXor(T value, int mask) {
  return __shfl_xor_sync(kAllLanes, value, mask);
}
template <typename T>
LONGSPAN_DEVICE T ShuffleUp(T value, int delta) {
  return __shfl_up_sync(kAllLanes, value, delta);
}
template <typename T>
LONGSPAN_DEVICE T ShuffleDown(T value, int delta) {
  return __shfl_down_sync(kAllLanes, value, delta);
}

#else

namespace emulated {

template <typename T>
T ShuffleFrom(T value, int lane, SourceSite site) {
  static_assert(sizeof(T) <= sizeof(uint64_t));
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits = current_thread->runner->Shuffle(bits, lane, site);
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

}  // namespace emulated

template <typename T>
T Shuffle(T value, int lane,
          emulated::SourceSite site = emulated::SourceSite::Here()) {
  return emulated::ShuffleFrom(value, lane & 31, site);
}
template <typename T>
T ShuffleXor(T value, int mask,
             emulated::SourceSite site = emulated::SourceSite::Here()) {
  const int lane = emulated::current_thread->lane;
  return emulated::ShuffleFrom(value, (lane ^ mask) & 31, site);
}
template <typename T>
T ShuffleUp(T value, int delta,
            emulated::SourceSite site = emulated::SourceSite::Here()) {
  const int lane = emulated::current_thread->lane;
  return emulated::ShuffleFrom(value, lane < delta ? lane : lane - delta, site);
}
template <typename T>
T ShuffleDown(T value, int delta,
              emulated::SourceSite site = emulated::SourceSite::Here()) {
  const int lane = emulated::current_thread->lane;
  return emulated::ShuffleFrom(value, lane + delta > 31 ? lane : lane + delta,
                               site);
}

#endif

}  // namespace longspan::kernels::cuda
