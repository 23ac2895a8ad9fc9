#pragma once

#include <cstdint>

#include "kernels/cuda/device/qualifiers.h"
#include "kernels/cuda/device/shuffle.h"

#if !LONGSPAN_CUDA_NATIVE
#include "kernels/cuda/device/emulated/block_runner.h"
#endif

// Reductions over the 32 lanes of a warp; every lane gets the result.
//
//   WarpSum, WarpMax  the butterfly over lane distances 16, 8, 4, 2, 1: the
//                     same bits in every lane and in every run
//   WarpAny, WarpAll  vote.sync
//   WarpBallot        bit l is set when lane l handed in true

namespace longspan::kernels::cuda {

#if LONGSPAN_CUDA_NATIVE

LONGSPAN_DEVICE float WarpSum(float value) {
  LONGSPAN_UNROLL
  for (int distance = 16; distance > 0; distance /= 2) {
    value += ShuffleXor(value, distance);
  }
  return value;
}
LONGSPAN_DEVICE float WarpMax(float value) {
  LONGSPAN_UNROLL
  for (int distance = 16; distance > 0; distance /= 2) {
    value = fmaxf(value, ShuffleXor(value, distance));
  }
  return value;
}
LONGSPAN_DEVICE uint32_t WarpBallot(bool value) {
  return __ballot_sync(kAllLanes, value);
}
LONGSPAN_DEVICE bool WarpAny(bool value) {
  return __any_sync(kAllLanes, value) != 0;
}
LONGSPAN_DEVICE bool WarpAll(bool value) {
  return __all_sync(kAllLanes, value) != 0;
}

#else

LONGSPAN_DEVICE float WarpSum(
    float value, emulated::SourceSite site = emulated::SourceSite::Here()) {
  return emulated::current_thread->runner->WarpSum(value, site);
}
LONGSPAN_DEVICE float WarpMax(
    float value, emulated::SourceSite site = emulated::SourceSite::Here()) {
  return emulated::current_thread->runner->WarpMax(value, site);
}
LONGSPAN_DEVICE uint32_t WarpBallot(
    bool value, emulated::SourceSite site = emulated::SourceSite::Here()) {
  return emulated::current_thread->runner->Ballot(value, site);
}
LONGSPAN_DEVICE bool WarpAny(
    bool value, emulated::SourceSite site = emulated::SourceSite::Here()) {
  return WarpBallot(value, site) != 0;
}
LONGSPAN_DEVICE bool WarpAll(
    bool value, emulated::SourceSite site = emulated::SourceSite::Here()) {
  return WarpBallot(value, site) == 0xFFFFFFFFu;
}

#endif

}  // namespace longspan::kernels::cuda
