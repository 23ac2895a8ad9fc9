// Which GPUs this build has code for. Pure.
#pragma once

#include "absl/status/status.h"
#include "kernels/cuda/runtime.h"

namespace longspan::kernels::cuda {

// The architectures of cmake/LongspanCuda.cmake; 8.0 code runs on all of 8.x.
// kUnimplemented names the device, its compute capability and those that would
// do.
absl::Status CheckDeviceSupport(int device, const DeviceProperties& properties);

}  // namespace longspan::kernels::cuda
