// Eight neighbouring elements of a row: what one thread of a byte-bound op
// loads, computes with in f32 and stores.
//
// T is float or Bf16. `wide` says that every full pack of the operand is
// aligned for vector loads; packs at the end of a row and rows that are not
// aligned go element by element. `count` may be anything: elements outside
// [0, count) read as zero and are not written.
#pragma once

#include "kernels/cuda/device/device.h"

namespace longspan::kernels::cuda {

inline constexpr int kPackElements = 8;

struct Pack {
  float v[kPackElements];
};

// A pack as it lies in memory, for keeping in registers.
template <typename T>
struct RawPack;
template <>
struct RawPack<Bf16> {
  Vector16 half;
};
template <>
struct RawPack<float> {
  Vector16 low;
  Vector16 high;
};

LONGSPAN_DEVICE float LoadElement(const float* from) { return *from; }
LONGSPAN_DEVICE float LoadElement(const Bf16* from) { return ToFloat(*from); }
LONGSPAN_DEVICE void StoreElement(float* to, float x) { *to = x; }
LONGSPAN_DEVICE void StoreElement(Bf16* to, float x) { *to = ToBf16(x); }

LONGSPAN_DEVICE Pack Unpack(const RawPack<Bf16>& raw) {
  Pack pack;
  LONGSPAN_UNROLL
  for (int i = 0; i < 4; ++i) {
    pack.v[2 * i] = LowFloat(raw.half.x[i]);
    pack.v[2 * i + 1] = HighFloat(raw.half.x[i]);
  }
  return pack;
}

LONGSPAN_DEVICE Pack Unpack(const RawPack<float>& raw) {
  Pack pack;
  LONGSPAN_UNROLL
  for (int i = 0; i < 4; ++i) {
    pack.v[i] = FloatOfBits(raw.low.x[i]);
    pack.v[i + 4] = FloatOfBits(raw.high.x[i]);
  }
  return pack;
}

LONGSPAN_DEVICE void ToRaw(const Pack& pack, RawPack<Bf16>* raw) {
  LONGSPAN_UNROLL
  for (int i = 0; i < 4; ++i) {
    raw->half.x[i] = PackBf16(pack.v[2 * i], pack.v[2 * i + 1]);
  }
}

LONGSPAN_DEVICE void ToRaw(const Pack& pack, RawPack<float>* raw) {
  LONGSPAN_UNROLL
  for (int i = 0; i < 4; ++i) {
    raw->low.x[i] = BitsOfFloat(pack.v[i]);
    raw->high.x[i] = BitsOfFloat(pack.v[i + 4]);
  }
}

LONGSPAN_DEVICE void LoadWide(const Bf16* from, RawPack<Bf16>* raw) {
  raw->half = LoadVector16(from);
}

LONGSPAN_DEVICE void LoadWide(const float* from, RawPack<float>* raw) {
  raw->low = LoadVector16(from);
  raw->high = LoadVector16(from + 4);
}

LONGSPAN_DEVICE void StoreWide(const RawPack<Bf16>& raw, Bf16* to) {
  StoreVector16(to, raw.half);
}

LONGSPAN_DEVICE void StoreWide(const RawPack<float>& raw, float* to) {
  StoreVector16(to, raw.low);
  StoreVector16(to + 4, raw.high);
}

template <typename T>
LONGSPAN_DEVICE RawPack<T> LoadRaw(const T* from, int64_t count, bool wide) {
  RawPack<T> raw;
  if (wide && count >= kPackElements) {
    LoadWide(from, &raw);
    return raw;
  }
  Pack pack;
  LONGSPAN_UNROLL
  for (int i = 0; i < kPackElements; ++i) {
    pack.v[i] = i < count ? LoadElement(from + i) : 0.0f;
  }
  ToRaw(pack, &raw);
  return raw;
}

template <typename T>
LONGSPAN_DEVICE Pack LoadPack(const T* from, int64_t count, bool wide) {
  return Unpack(LoadRaw(from, count, wide));
}

template <typename T>
LONGSPAN_DEVICE void StorePack(const Pack& pack, T* to, int64_t count,
                               bool wide) {
  if (wide && count >= kPackElements) {
    RawPack<T> raw;
    ToRaw(pack, &raw);
    StoreWide(raw, to);
    return;
  }
  LONGSPAN_UNROLL
  for (int i = 0; i < kPackElements; ++i) {
    if (i < count) StoreElement(to + i, pack.v[i]);
  }
}

}  // namespace longspan::kernels::cuda
