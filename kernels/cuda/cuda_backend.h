// The CUDA backend: bf16 or f32 activations on one GPU of compute capability
// 8.x or 9.0. Defined by exactly one of three libraries, and a program's link
// decides which: kernels_cuda, kernels_no_cuda (a build without nvcc), or
// kernels_cuda_emulated (tests; see longspan_emulate_cuda).
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "kernels/api/backend.h"

namespace longspan::kernels::cuda {

// kUnavailable, with the reason, when this build has no CUDA backend or this
// machine no driver or no such device; kUnimplemented for a device that the
// build has no code for.
absl::StatusOr<std::unique_ptr<Backend>> CreateCudaBackend(int device);

}  // namespace longspan::kernels::cuda
