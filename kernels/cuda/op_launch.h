// Starting a kernel from an op. Host code.
#pragma once

#include "absl/status/status.h"
#include "kernels/api/stream.h"
#include "kernels/cuda/cuda_status.h"
#include "kernels/cuda/device/device.h"

namespace longspan::kernels::cuda {

// The CUDA stream behind `stream`, whose device becomes the calling thread's.
void* NativeStream(Stream& stream);

// Error codes become a Status that names `op` and the launch.
template <typename Params>
absl::Status Launch(const char* op, void (*kernel)(Params),
                    const LaunchShape& shape, Stream& stream,
                    const Params& params) {
  const absl::Status fits = CheckGrid(op, shape.blocks, "rows");
  if (!fits.ok()) return fits;
  void* native = NativeStream(stream);
  return LaunchStatus(LaunchKernel(kernel, shape, native, params), op, shape);
}

}  // namespace longspan::kernels::cuda
