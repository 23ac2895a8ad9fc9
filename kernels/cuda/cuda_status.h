// The one place where CUDA's error codes become a Status.
//
//   kUnavailable         no driver, no device, or a driver that is too old
//   kResourceExhausted   not enough memory, or a block that needs too much
//   kUnimplemented       no code in this build for that device
//   kInternal            all others; most of them are sticky: every later call
//                        fails too, and the process has to end
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "kernels/cuda/device/launch.h"

namespace longspan::kernels::cuda {

// The codes that the backend itself tells apart (cudaError_t).
enum ErrorCode : int {
  kSuccess = 0,
  kErrorInvalidValue = 1,
  kErrorMemoryAllocation = 2,
  kErrorInitialization = 3,
  kErrorInsufficientDriver = 35,
  kErrorNoDevice = 100,
  kErrorInvalidDevice = 101,
  kErrorNoKernelImage = 209,
  kErrorIllegalAddress = 700,
  kErrorLaunchOutOfResources = 701,
  kErrorLaunchFailure = 719,
  kErrorSystemDriverMismatch = 803,
  kErrorStreamCaptureUnsupported = 900,
  kErrorStreamCaptureInvalidated = 901,
  kErrorStreamCaptureUnjoined = 904,
  kErrorCapturedEvent = 907,
};

// OkStatus for kSuccess; else a sentence with `call`, the code and, where the
// library has one, its own `text`.
absl::Status StatusOfError(int code, const std::string& call,
                           const std::string& text = "");

// What LaunchKernel returned, with the name and the shape of the launch.
absl::Status LaunchStatus(int code, const char* kernel,
                          const LaunchShape& shape);

// kUnimplemented, in a sentence, for a grid beyond the device's limit.
// `pieces` is what a smaller call would have fewer of.
absl::Status CheckGrid(const char* op, int64_t blocks, const char* pieces);

}  // namespace longspan::kernels::cuda
