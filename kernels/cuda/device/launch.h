#pragma once

#include <cstdint>

#include "kernels/cuda/device/qualifiers.h"

#if !LONGSPAN_CUDA_NATIVE
#include <utility>

#include "kernels/cuda/device/emulated/kernel_launch.h"
#endif

// Starts a kernel on a stream; host code. Returns 0 or a CUDA error code, which
// kernels/cuda turns into a Status. Faults of a running kernel show later.

namespace longspan::kernels::cuda {

struct LaunchShape {
  int64_t blocks = 0;    // 0 launches nothing; at most kMaxGridBlocks
  int threads = 0;       // per block, a multiple of 32, at most 1024
  int shared_bytes = 0;  // dynamic shared memory per block
};

inline constexpr int64_t kMaxGridBlocks = 0x7FFFFFFF;
inline constexpr int kMaxBlockThreads = 1024;
inline constexpr int kLaunchInvalidValue = 1;  // cudaErrorInvalidValue

inline bool ValidLaunchShape(const LaunchShape& shape) {
  return shape.blocks >= 0 && shape.blocks <= kMaxGridBlocks &&
         shape.threads > 0 && shape.threads <= kMaxBlockThreads &&
         shape.threads % 32 == 0 && shape.shared_bytes >= 0;
}

#if LONGSPAN_CUDA_NATIVE

template <typename Params>
int LaunchKernel(void (*kernel)(Params), const LaunchShape& shape,
                 void* native_stream, const Params& params) {
  // Beyond this a kernel has to ask.
  constexpr int kDefaultSharedBytes = 48 * 1024;
  if (!ValidLaunchShape(shape)) {
    return kLaunchInvalidValue;
  }
  if (shape.blocks == 0) {
    return 0;
  }
  const void* function = reinterpret_cast<const void*>(kernel);
  cudaError_t error = cudaSuccess;
  if (shape.shared_bytes > kDefaultSharedBytes) {
    error = cudaFuncSetAttribute(function,
                                 cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 shape.shared_bytes);
  }
  if (error == cudaSuccess) {
    void* arguments[] = {const_cast<Params*>(&params)};
    error =
        cudaLaunchKernel(function, dim3(static_cast<unsigned>(shape.blocks)),
                         dim3(static_cast<unsigned>(shape.threads)), arguments,
                         static_cast<size_t>(shape.shared_bytes),
                         static_cast<cudaStream_t>(native_stream));
  }
  if (error != cudaSuccess) {
    cudaGetLastError();  // or the next launch would report it again
  }
  return static_cast<int>(error);
}

#else

template <typename Params>
int LaunchKernel(void (*kernel)(Params), const LaunchShape& shape,
                 void* native_stream, const Params& params,
                 const char* launched_by = __builtin_FUNCTION(),
                 emulated::SourceSite site = emulated::SourceSite::Here()) {
  if (!ValidLaunchShape(shape)) {
    return kLaunchInvalidValue;
  }
  if (shape.blocks == 0) {
    return 0;
  }
  emulated::KernelLaunch launch;
  launch.blocks = shape.blocks;
  launch.threads = shape.threads;
  launch.shared_bytes = shape.shared_bytes;
  launch.thread_body = [kernel, params] { kernel(params); };
  launch.params = &typeid(Params);
  launch.launched_by = launched_by;
  launch.site = site;
  return emulated::SubmitLaunch(native_stream, std::move(launch));
}

#endif

}  // namespace longspan::kernels::cuda
