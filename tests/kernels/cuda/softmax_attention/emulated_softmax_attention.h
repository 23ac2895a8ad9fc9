// Softmax attention of the CUDA backend on operands in host memory, run by the
// emulator: the kernels and their host code without the backend around them.
#pragma once

#include <memory>

#include "kernels/api/softmax_attention.h"
#include "kernels/api/stream.h"

namespace longspan::kernels::cuda {

// `splits` 0: as the plan says.
std::unique_ptr<SoftmaxAttention> CreateEmulatedSoftmaxAttention(
    int splits = 0);

// What runs on the emulator has ended when its launch returns.
class EndedStream : public Stream {
 public:
  absl::Status Synchronize() override { return absl::OkStatus(); }
};

}  // namespace longspan::kernels::cuda
