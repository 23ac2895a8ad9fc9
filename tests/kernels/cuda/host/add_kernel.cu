#include "kernels/cuda/cuda_status.h"
#include "kernels/cuda/cuda_stream.h"
#include "kernels/cuda/device/device.h"
#include "tests/kernels/cuda/host/add_kernel.h"

namespace longspan::kernels::cuda {
namespace {

constexpr int kThreads = 64;

struct AddParams {
  float* x;
  int64_t count;
  float host_value;
  const float* device_value;
};

LONGSPAN_KERNEL(kThreads, 1) AddKernel(const AddParams p) {
  const int64_t i = BlockIndex() * BlockThreads() + ThreadIndex();
  if (i < p.count) p.x[i] += p.host_value + *p.device_value;
}

}  // namespace

absl::Status LaunchAdd(float* x, int64_t count, float host_value,
                       const float* device_value, Stream& stream) {
  const LaunchShape shape{(count + kThreads - 1) / kThreads, kThreads, 0};
  const AddParams params{x, count, host_value, device_value};
  return LaunchStatus(
      LaunchKernel(AddKernel, shape, CudaStream::Of(stream).native_handle(),
                   params),
      "AddKernel", shape);
}

}  // namespace longspan::kernels::cuda
