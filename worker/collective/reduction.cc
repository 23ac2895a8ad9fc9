#include "worker/collective/reduction.h"

#include <algorithm>

#include "common/base/check.h"

namespace longspan::worker {
namespace {

using kernels::DType;

// The sum of a block stays in the first-level cache while parts stream by.
constexpr int64_t kBlock = 1024;

template <typename T>
void Accumulate(T* sum, const T* part, int64_t count, Reduction reduction) {
  if (reduction == Reduction::kSum) {
    for (int64_t i = 0; i < count; ++i) sum[i] += part[i];
  } else {
    for (int64_t i = 0; i < count; ++i) sum[i] = std::max(sum[i], part[i]);
  }
}

template <typename T>
void Reduce(absl::Span<const void* const> parts, T* out, int64_t count,
            Reduction reduction) {
  T sum[kBlock];
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t size = std::min(kBlock, count - begin);
    std::copy_n(static_cast<const T*>(parts[0]) + begin, size, sum);
    for (const void* part : parts.subspan(1)) {
      Accumulate(sum, static_cast<const T*>(part) + begin, size, reduction);
    }
    std::copy_n(sum, size, out + begin);
  }
}

}  // namespace

void ReduceInRankOrder(absl::Span<const void* const> parts, void* out,
                       DType dtype, int64_t count, Reduction reduction) {
  switch (dtype) {
    case DType::kF32:
      return Reduce(parts, static_cast<float*>(out), count, reduction);
    case DType::kF64:
      return Reduce(parts, static_cast<double*>(out), count, reduction);
    case DType::kI64:
      return Reduce(parts, static_cast<int64_t*>(out), count, reduction);
    default:
      LONGSPAN_CHECK(false) << "no reduction of " << DTypeName(dtype);
  }
}

}  // namespace longspan::worker
