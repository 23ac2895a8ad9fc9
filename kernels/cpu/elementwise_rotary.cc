#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "kernels/api/elementwise_operands.h"
#include "kernels/cpu/cpu_stream.h"
#include "kernels/cpu/elementwise.h"
#include "kernels/cpu/op_kernels.h"
#include "kernels/cpu/rotary_angles.h"
#include "kernels/cpu/work_split.h"

namespace longspan::kernels {
namespace {

constexpr int64_t kTokensPerItem = 256;

template <typename T>
void RotateTokens(ConstTensorView x, const int64_t* positions,
                  RotaryAngles angles, bool inverse, TensorView y,
                  int64_t begin, int64_t end) {
  T cosines[RotaryAngles::kMaxPairs];
  T sines[RotaryAngles::kMaxPairs];
  const int64_t half = x.size(3) / 2;
  const auto rotate = RowKernelsOf<T>().rotate;
  for (int64_t t = begin; t < end; ++t) {
    angles.MoveTo(positions[t]);
    for (int64_t i = 0; i < half; ++i) {
      cosines[i] = static_cast<T>(angles.cosines()[i]);
      sines[i] =
          static_cast<T>(inverse ? -angles.sines()[i] : angles.sines()[i]);
    }
    for (int64_t b = 0; b < x.size(0); ++b) {
      const RotaryHeads<T> heads = {
          x.size(2),
          half,
          x.data_as<T>() + b * x.stride(0) + t * x.stride(1),
          x.stride(2),
          y.data_as<T>() + b * y.stride(0) + t * y.stride(1),
          y.stride(2)};
      rotate(heads, cosines, sines);
    }
  }
}

}  // namespace

absl::Status CpuElementwise::Rotary(ConstTensorView x,
                                    ConstTensorView positions, double base,
                                    bool inverse, TensorView y,
                                    Stream& stream) {
  RETURN_IF_ERROR(CheckRotary(x, positions, base, y));
  const int64_t half = x.size(3) / 2;
  if (half > RotaryAngles::kMaxPairs) {
    return absl::InvalidArgumentError(
        absl::StrCat("Rotary: head size ", x.size(3), ", at most ",
                     2 * RotaryAngles::kMaxPairs, " is supported"));
  }
  const RotaryAngles angles(half, base);
  const auto rotate =
      x.dtype() == DType::kF32 ? RotateTokens<float> : RotateTokens<double>;
  ForBlocks(CpuStream::PoolOf(stream), x.size(1), kTokensPerItem,
            [&](int64_t begin, int64_t end) {
              rotate(x, positions.data_as<int64_t>(), angles, inverse, y, begin,
                     end);
            });
  return absl::OkStatus();
}

}  // namespace longspan::kernels
