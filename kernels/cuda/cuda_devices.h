// The GPUs of this machine, without a backend: for the worker's inventory.
// Defined, like CreateCudaBackend, by the one of three libraries that a
// program links.
#pragma once

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

// In the order of their ordinals, at least one. kUnavailable, with the reason:
// a build without CUDA, no driver, no device. Touches the driver, so it is
// called in a process that ends soon.
absl::StatusOr<std::vector<CudaDevice>> ListCudaDevices();

}  // namespace longspan::kernels::cuda
