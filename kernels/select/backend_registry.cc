#include "kernels/select/backend_registry.h"

#include "absl/status/status.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/reference/reference_backend.h"

namespace longspan::kernels {

absl::StatusOr<std::unique_ptr<Backend>> CreateBackend(BackendKind kind,
                                                       int device) {
  switch (kind) {
    case BackendKind::kReference:
      return CreateReferenceBackend();
    case BackendKind::kCpu:
      return CreateCpuBackend();
    case BackendKind::kCuda:
      return cuda::CreateCudaBackend(device);
  }
  return absl::InvalidArgumentError("unknown backend kind");
}

}  // namespace longspan::kernels
