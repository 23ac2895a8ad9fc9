#include "kernels/cuda/cuda_status.h"

#include <string>

namespace longspan::kernels::cuda {
namespace {

// What every device gives a block.
constexpr int kAnyDeviceShared = 48 * 1024;

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
  if (code == kErrorInvalidValue && shape.shared_bytes > kAnyDeviceShared) {
    return absl::UnimplementedError(
        std::string(kernel) + ": needs " + std::to_string(shape.shared_bytes) +
        " B of shared memory a block, more than this GPU gives (compute "
        "capability 9.0: 232448, 8.0: 166912, 8.6 and 8.9: 101376); use "
        "smaller heads or the cpu backend");
  }
  return StatusOfError(
      code, std::string("launch of ") + kernel + " with " +
                std::to_string(shape.blocks) + " blocks of " +
                std::to_string(shape.threads) + " threads and " +
                std::to_string(shape.shared_bytes) + " B of shared memory");
}

absl::Status CheckGrid(const char* op, int64_t blocks, const char* pieces) {
  if (blocks <= kMaxGridBlocks) return absl::OkStatus();
  return absl::UnimplementedError(
      std::string(op) + ": needs " + std::to_string(blocks) +
      " blocks, a grid has up to " + std::to_string(kMaxGridBlocks) +
      "; split the call by its " + pieces);
}

}  // namespace longspan::kernels::cuda
