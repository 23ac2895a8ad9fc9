#pragma once

#include <cstdint>

#include "kernels/cuda/device/qualifiers.h"

#if !LONGSPAN_CUDA_NATIVE
#include <bit>
#endif

// bfloat16 as storage, and the pairs of it that matrix instructions take: two
// values in one register, the one with the lower index in the low half.
// Conversions round to nearest even; a NaN becomes 0x7FFF (PTX cvt.rn.bf16).

namespace longspan::kernels::cuda {

struct Bf16 {
  uint16_t bits;
};

LONGSPAN_DEVICE float FloatOfBits(uint32_t bits) {
#if LONGSPAN_CUDA_NATIVE
  return __uint_as_float(bits);
#else
  return std::bit_cast<float>(bits);
#endif
}

LONGSPAN_DEVICE uint32_t BitsOfFloat(float value) {
#if LONGSPAN_CUDA_NATIVE
  return __float_as_uint(value);
#else
  return std::bit_cast<uint32_t>(value);
#endif
}

LONGSPAN_DEVICE float ToFloat(Bf16 value) {
  return FloatOfBits(static_cast<uint32_t>(value.bits) << 16);
}

LONGSPAN_DEVICE float ToFloat(float value) { return value; }

LONGSPAN_DEVICE Bf16 ToBf16(float value) {
#if LONGSPAN_CUDA_NATIVE
  Bf16 result;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(result.bits) : "f"(value));
  return result;
#else
  if (value != value) {
    return {0x7FFF};
  }
  const uint32_t bits = BitsOfFloat(value);
  return {static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16)};
#endif
}

LONGSPAN_DEVICE uint32_t PackBf16(float low, float high) {
#if LONGSPAN_CUDA_NATIVE
  uint32_t result;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
  return result;
#else
  return ToBf16(low).bits | static_cast<uint32_t>(ToBf16(high).bits) << 16;
#endif
}

LONGSPAN_DEVICE float LowFloat(uint32_t pair) {
  return FloatOfBits(pair << 16);
}

LONGSPAN_DEVICE float HighFloat(uint32_t pair) {
  return FloatOfBits(pair & 0xFFFF0000u);
}

}  // namespace longspan::kernels::cuda
