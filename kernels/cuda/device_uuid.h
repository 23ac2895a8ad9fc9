// What a GPU is called where one is chosen by name (CUDA_VISIBLE_DEVICES).
#pragma once

#include <string>

namespace longspan::kernels::cuda {

// "GPU-8d2a71c4-..." of the 16 bytes at `bytes`; "MIG-..." if `name`, the
// device's, is that of a slice of a GPU ("NVIDIA H100 MIG 1g.10gb"): CUDA takes
// no other prefix for it. Pure.
std::string DeviceUuid(const std::string& name, const char* bytes);

}  // namespace longspan::kernels::cuda
