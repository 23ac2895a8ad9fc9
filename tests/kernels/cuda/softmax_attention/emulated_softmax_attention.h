// Softmax attention of the CUDA backend on operands in host memory, run by the
// emulator: the kernels and their host code without the backend around them.
#pragma once

#include <memory>

#include "kernels/api/softmax_attention.h"

namespace longspan::kernels::cuda {

// `splits` 0: as the plan says.
std::unique_ptr<SoftmaxAttention> CreateEmulatedSoftmaxAttention(
    int splits = 0);

}  // namespace longspan::kernels::cuda
