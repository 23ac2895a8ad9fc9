#include "kernels/cuda/device_support.h"

#include <string>

namespace longspan::kernels::cuda {

absl::Status CheckDeviceSupport(int device,
                                const DeviceProperties& properties) {
  if (properties.major == 8 ||
      (properties.major == 9 && properties.minor == 0)) {
    return absl::OkStatus();
  }
  return absl::UnimplementedError(
      "CUDA device " + std::to_string(device) + ", " + properties.name +
      ", has compute capability " + std::to_string(properties.major) + "." +
      std::to_string(properties.minor) +
      "; this build has code for 8.x and 9.0");
}

}  // namespace longspan::kernels::cuda
