#include "kernels/cuda/cuda_devices.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "kernels/cuda/device_support.h"
#include "kernels/cuda/runtime.h"

namespace longspan::kernels::cuda {

absl::StatusOr<std::vector<CudaDevice>> ListCudaDevices() {
  ASSIGN_OR_RETURN(const int count, DeviceCount());
  std::vector<CudaDevice> devices;
  for (int device = 0; device < count; ++device) {
    ASSIGN_OR_RETURN(const DeviceProperties found, GetDeviceProperties(device));
    devices.push_back(
        {found.name, found.uuid, absl::StrCat(found.major, ".", found.minor),
         found.memory_bytes,
         std::string(CheckDeviceSupport(device, found).message())});
  }
  return devices;
}

}  // namespace longspan::kernels::cuda
