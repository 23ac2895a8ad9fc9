// What the plans of the CUDA backend count on, whatever the device is, so that
// workspace, the planner's predictions and the order of sums do not depend on
// it: an H100 or H200.
#pragma once

#include <cstdint>

namespace longspan::kernels {

inline constexpr int64_t kCudaPlanSms = 132;  // streaming multiprocessors

}  // namespace longspan::kernels
