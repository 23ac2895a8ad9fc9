#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "kernels/api/stream.h"

namespace longspan::kernels::cuda {

// x[i] += host_value + *device_value for i < count.
absl::Status LaunchAdd(float* x, int64_t count, float host_value,
                       const float* device_value, Stream& stream);

}  // namespace longspan::kernels::cuda
