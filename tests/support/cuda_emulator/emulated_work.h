#pragma once

#include <functional>

// Work of the emulated device that is no kernel, such as a matrix product or
// what a fake NCCL does.

namespace longspan::kernels::cuda::emulated {

// In stream order: runs `work` now, or records it when the stream is being
// captured. 0 or the code that `work` returned.
int SubmitWork(void* native_stream, std::function<int()> work);

}  // namespace longspan::kernels::cuda::emulated
