#include "absl/status/status.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/cuda_devices.h"

namespace longspan::kernels::cuda {

absl::StatusOr<std::unique_ptr<Backend>> CreateCudaBackend(int) {
  return absl::UnavailableError(
      "this build has no CUDA backend; choose the backend cpu, or run "
      "deploy/install-cuda and build again");
}

absl::StatusOr<std::vector<CudaDevice>> ListCudaDevices() {
  return absl::UnavailableError(
      "this build has no CUDA backend and offers no GPUs; run "
      "deploy/install-cuda and build again");
}

}  // namespace longspan::kernels::cuda
