// The bf16 number on the host: the upper half of an f32. Kernels have a form of
// their own (kernels/cuda/device).
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/api/tensor_view.h"

namespace longspan::kernels {

struct BFloat16 {
  uint16_t bits = 0;
};

template <>
struct DTypeOf<BFloat16> {
  static constexpr DType kValue = DType::kBF16;
};

inline float ToFloat(BFloat16 x) {
  const uint32_t bits = static_cast<uint32_t>(x.bits) << 16;
  float value = 0.0f;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

// Rounds to nearest, ties to even. NaN stays NaN, overflow becomes infinite.
inline BFloat16 ToBFloat16(float value) {
  uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  if ((bits & 0x7fffffffu) > 0x7f800000u) {
    return {static_cast<uint16_t>((bits >> 16) | 0x40u)};
  }
  return {static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}

}  // namespace longspan::kernels
