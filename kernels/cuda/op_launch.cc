#include "kernels/cuda/op_launch.h"

#include "kernels/cuda/cuda_stream.h"

namespace longspan::kernels::cuda {

void* NativeStream(Stream& stream) {
  return CudaStream::Of(stream).native_handle();
}

}  // namespace longspan::kernels::cuda
