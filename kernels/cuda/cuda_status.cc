#include "kernels/cuda/cuda_status.h"

#include <string>

namespace longspan::kernels::cuda {
namespace {

absl::StatusCode StatusCodeOf(int code) {
  switch (code) {
    case kErrorInitialization:
    case kErrorInsufficientDriver:
    case kErrorNoDevice:
    case kErrorInvalidDevice:
    case kErrorSystemDriverMismatch:
      return absl::StatusCode::kUnavailable;
    case kErrorMemoryAllocation:
    case kErrorLaunchOutOfResources:
      return absl::StatusCode::kResourceExhausted;
    case kErrorNoKernelImage:
      return absl::StatusCode::kUnimplemented;
    default:
      return absl::StatusCode::kInternal;
  }
}

// What to do about the errors that a user can mend.
const char* Advice(int code) {
  switch (code) {
    case kErrorInsufficientDriver:
      return "; is the NVIDIA driver installed, for CUDA 13 or newer (release "
             "580)?";
    case kErrorNoDevice:
      return "; no GPU is visible (nvidia-smi, CUDA_VISIBLE_DEVICES)";
    case kErrorInitialization:
      return "; the driver is installed but does not start (nvidia-smi, dmesg)";
    case kErrorSystemDriverMismatch:
      return "; the driver's library and kernel module differ: restart the "
             "machine";
    case kErrorNoKernelImage:
      return "; this build has code for compute capability 8.x and 9.0";
    default:
      return "";
  }
}

}  // namespace

absl::Status StatusOfError(int code, const std::string& call,
                           const std::string& text) {
  if (code == kSuccess) return absl::OkStatus();
  return absl::Status(
      StatusCodeOf(code),
      "CUDA: " + call + " failed with error " + std::to_string(code) +
          (text.empty() ? "" : " (" + text + ")") + Advice(code));
}

absl::Status LaunchStatus(int code, const char* kernel,
                          const LaunchShape& shape) {
  if (code == kSuccess) return absl::OkStatus();
  return StatusOfError(
      code, std::string("launch of ") + kernel + " with " +
                std::to_string(shape.blocks) + " blocks of " +
                std::to_string(shape.threads) + " threads and " +
                std::to_string(shape.shared_bytes) + " B of shared memory");
}

absl::Status CheckGrid(const char* op, const LaunchShape& shape) {
  if (shape.blocks <= kMaxGridBlocks) return absl::OkStatus();
  return absl::UnimplementedError(
      std::string(op) + ": needs " + std::to_string(shape.blocks) +
      " blocks, a grid has up to " + std::to_string(kMaxGridBlocks) +
      "; split the call by its rows");
}

}  // namespace longspan::kernels::cuda
