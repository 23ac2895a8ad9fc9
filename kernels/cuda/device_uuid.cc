#include "kernels/cuda/device_uuid.h"

namespace longspan::kernels::cuda {

std::string DeviceUuid(const std::string& name, const char* bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text = name.find(" MIG ") == std::string::npos ? "GPU" : "MIG";
  for (int i = 0; i < 16; ++i) {
    if (i == 0 || i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    const auto byte = static_cast<unsigned char>(bytes[i]);
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace longspan::kernels::cuda
