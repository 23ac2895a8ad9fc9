// The GPUs of this machine, without a backend: for the worker's inventory.
// Defined, like CreateCudaBackend, by the one of three libraries that a
// program links.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace longspan::kernels::cuda {

struct CudaDevice {
  std::string model;  // "NVIDIA H200"
  std::string uuid;   // as CUDA_VISIBLE_DEVICES takes it (device_uuid.h)
  std::string compute_capability;  // "9.0"
  int64_t memory_bytes = 0;
  // Why jobs cannot run on it; empty: they can.
  std::string refusal;
};

// An allowance for what a process has on its GPU beside its tensors, and no
// plan counts: CUDA's context and modules, the scratch of three streams and of
// NCCL, the buffers of NCCL and of cuBLASLt.
inline constexpr int64_t kProcessDeviceBytes = int64_t{2} << 30;

// What each of `processes` that share a GPU can plan with: its part less the
// allowance, and at least half of its part.
constexpr int64_t PlannableBytes(int64_t device_bytes, int processes) {
  const int64_t part = device_bytes / processes;
  return std::max(part - kProcessDeviceBytes, part / 2);
}

// In the order of their ordinals, at least one. kUnavailable, with the reason:
// a build without CUDA, no driver, no device. Touches the driver, so it is
// called in a process that ends soon.
absl::StatusOr<std::vector<CudaDevice>> ListCudaDevices();

}  // namespace longspan::kernels::cuda
