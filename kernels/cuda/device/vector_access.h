#pragma once

#include <cstdint>

#include "kernels/cuda/device/qualifiers.h"

#if !LONGSPAN_CUDA_NATIVE
#include <cstring>

#include "kernels/cuda/device/emulated/block_runner.h"
#endif

// Accesses of 16, 8 and 4 bytes in one instruction, in global or shared
// memory; the address is a multiple of the size. The streaming forms (global
// memory only; ld.global.cs, st.global.cs) are for bytes that nobody reads
// again soon.

namespace longspan::kernels::cuda {

struct alignas(16) Vector16 {
  uint32_t x[4];
};
struct alignas(8) Vector8 {
  uint32_t x[2];
};
struct alignas(4) Vector4 {
  uint32_t x[1];
};

#if LONGSPAN_CUDA_NATIVE

LONGSPAN_DEVICE Vector16 LoadVector16(const void* source) {
  const uint4 v = *static_cast<const uint4*>(source);
  return {{v.x, v.y, v.z, v.w}};
}
LONGSPAN_DEVICE Vector8 LoadVector8(const void* source) {
  const uint2 v = *static_cast<const uint2*>(source);
  return {{v.x, v.y}};
}
LONGSPAN_DEVICE Vector4 LoadVector4(const void* source) {
  return {{*static_cast<const unsigned*>(source)}};
}
LONGSPAN_DEVICE Vector16 LoadVector16Streaming(const void* source) {
  const uint4 v = __ldcs(static_cast<const uint4*>(source));
  return {{v.x, v.y, v.z, v.w}};
}
LONGSPAN_DEVICE void StoreVector16(void* target, const Vector16& v) {
  *static_cast<uint4*>(target) = make_uint4(v.x[0], v.x[1], v.x[2], v.x[3]);
}
LONGSPAN_DEVICE void StoreVector8(void* target, const Vector8& v) {
  *static_cast<uint2*>(target) = make_uint2(v.x[0], v.x[1]);
}
LONGSPAN_DEVICE void StoreVector4(void* target, const Vector4& v) {
  *static_cast<unsigned*>(target) = v.x[0];
}
LONGSPAN_DEVICE void StoreVector16Streaming(void* target, const Vector16& v) {
  __stcs(static_cast<uint4*>(target),
         make_uint4(v.x[0], v.x[1], v.x[2], v.x[3]));
}

#else

namespace emulated {

template <typename Vector>
Vector Load(const void* source, SourceSite site) {
  CheckAligned(source, sizeof(Vector), site);
  Vector v;
  std::memcpy(&v, source, sizeof(v));
  return v;
}
template <typename Vector>
void Store(void* target, const Vector& v, SourceSite site) {
  CheckAligned(target, sizeof(Vector), site);
  std::memcpy(target, &v, sizeof(v));
}

}  // namespace emulated

LONGSPAN_DEVICE Vector16
LoadVector16(const void* source,
             emulated::SourceSite site = emulated::SourceSite::Here()) {
  return emulated::Load<Vector16>(source, site);
}
LONGSPAN_DEVICE Vector8
LoadVector8(const void* source,
            emulated::SourceSite site = emulated::SourceSite::Here()) {
  return emulated::Load<Vector8>(source, site);
}
LONGSPAN_DEVICE Vector4
LoadVector4(const void* source,
            emulated::SourceSite site = emulated::SourceSite::Here()) {
  return emulated::Load<Vector4>(source, site);
}
LONGSPAN_DEVICE Vector16 LoadVector16Streaming(
    const void* source,
    emulated::SourceSite site = emulated::SourceSite::Here()) {
  return emulated::Load<Vector16>(source, site);
}
LONGSPAN_DEVICE void StoreVector16(
    void* target, const Vector16& v,
    emulated::SourceSite site = emulated::SourceSite::Here()) {
  emulated::Store(target, v, site);
}
LONGSPAN_DEVICE void StoreVector8(
    void* target, const Vector8& v,
    emulated::SourceSite site = emulated::SourceSite::Here()) {
  emulated::Store(target, v, site);
}
LONGSPAN_DEVICE void StoreVector4(
    void* target, const Vector4& v,
    emulated::SourceSite site = emulated::SourceSite::Here()) {
  emulated::Store(target, v, site);
}
LONGSPAN_DEVICE void StoreVector16Streaming(
    void* target, const Vector16& v,
    emulated::SourceSite site = emulated::SourceSite::Here()) {
  emulated::Store(target, v, site);
}

#endif

}  // namespace longspan::kernels::cuda
