// Rotary position embedding. A thread computes the angles of a pack of pairs
// of one token and rotates that pack in some or all of the token's heads.
//
// The angle is counted in turns: position * frequency / (2 pi) and its fraction
// are taken in double (three operations per pair, shared by the heads; on GPUs
// with 1/64 of the rate in double that is still below the memory time of two
// heads), so a position of 2^31 costs no accuracy. What is left lies within an
// eighth of a turn and goes through short polynomials in f32.
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "kernels/api/elementwise_operands.h"
#include "kernels/cost/cuda_op_plan.h"
#include "kernels/cuda/element_pack.h"
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/op_launch.h"
#include "kernels/cuda/row_views.h"

namespace longspan::kernels::cuda {
namespace {

struct RotaryParams {
  const void* x;
  void* y;
  const int64_t* positions;
  int64_t x_stride[3];  // batch, token, head
  int64_t y_stride[3];
  int64_t rows;  // batch * heads
  int64_t heads;
  int64_t half;
  CudaRotaryPlan plan;
  bool inverse;
  bool wide;
  double turns[kCudaRotaryPairs];  // per position
};

struct Rotation {
  float cosine;
  float sine;
};

// cos and sin of `turns` turns, to about 1e-7.
LONGSPAN_DEVICE Rotation RotationOf(double turns) {
  const double quarters = rint(4.0 * turns);
  const auto x =
      static_cast<float>((4.0 * turns - quarters) * 1.5707963267948966);
  const float x2 = x * x;
  // Taylor series; |x| <= pi / 4.
  const float sine =
      x +
      x * x2 *
          (-1.6666667e-1f +
           x2 * (8.3333333e-3f + x2 * (-1.9841270e-4f + x2 * 2.7557319e-6f)));
  const float cosine =
      1.0f + x2 * (-0.5f + x2 * (4.1666667e-2f +
                                 x2 * (-1.3888889e-3f + x2 * 2.4801587e-5f)));
  const auto quadrant = static_cast<int>(static_cast<int64_t>(quarters) & 3);
  const bool swap = (quadrant & 1) != 0;
  const float c = swap ? sine : cosine;
  const float s = swap ? cosine : sine;
  return {quadrant == 1 || quadrant == 2 ? -c : c, quadrant >= 2 ? -s : s};
}

template <typename T>
LONGSPAN_KERNEL(kCudaThreads, 2)
RotaryKernel(const RotaryParams p) {
  const int64_t item = BlockIndex() * kCudaThreads + ThreadIndex();
  if (item >= p.plan.items) return;
  int64_t rest = item / p.plan.packs;
  const int64_t column = (item - rest * p.plan.packs) * kPackElements;
  const int64_t token = rest / p.plan.parts;
  const int64_t first_row =
      (rest - token * p.plan.parts) * p.plan.rows_per_item;
  int64_t end_row = first_row + p.plan.rows_per_item;
  if (end_row > p.rows) end_row = p.rows;
  const int64_t count = p.half - column;
  const auto position = static_cast<double>(p.positions[token]);
  Rotation rotations[kPackElements] = {};
  LONGSPAN_UNROLL
  for (int i = 0; i < kPackElements; ++i) {
    if (i >= count) break;
    rotations[i] = RotationOf(position * p.turns[column + i]);
    if (p.inverse) rotations[i].sine = -rotations[i].sine;
  }
  int64_t batch = first_row / p.heads;
  int64_t head = first_row - batch * p.heads;
  for (int64_t row = first_row; row < end_row; ++row) {
    const T* from = static_cast<const T*>(p.x) + batch * p.x_stride[0] +
                    token * p.x_stride[1] + head * p.x_stride[2] + column;
    T* to = static_cast<T*>(p.y) + batch * p.y_stride[0] +
            token * p.y_stride[1] + head * p.y_stride[2] + column;
    Pack low = LoadPack(from, count, p.wide);
    Pack high = LoadPack(from + p.half, count, p.wide);
    LONGSPAN_UNROLL
    for (int i = 0; i < kPackElements; ++i) {
      const float a = low.v[i];
      const float b = high.v[i];
      low.v[i] = a * rotations[i].cosine - b * rotations[i].sine;
      high.v[i] = b * rotations[i].cosine + a * rotations[i].sine;
    }
    StorePack(low, to, count, p.wide);
    StorePack(high, to + p.half, count, p.wide);
    if (++head == p.heads) {
      head = 0;
      ++batch;
    }
  }
}

void SetTurns(double base, RotaryParams* params) {
  constexpr double kTurn = 6.283185307179586;
  for (int64_t i = 0; i < params->half; ++i) {
    params->turns[i] =
        std::pow(base, -1.0 * static_cast<double>(i) / params->half) / kTurn;
  }
}

}  // namespace

absl::Status CudaElementwise::Rotary(ConstTensorView x,
                                     ConstTensorView positions, double base,
                                     bool inverse, TensorView y,
                                     Stream& stream) {
  RETURN_IF_ERROR(CheckRotary(x, positions, base, y, kCudaOperands));
  if (x.size(3) > 2 * kCudaRotaryPairs) {
    return absl::UnimplementedError(absl::StrCat(
        "Rotary: head size ", x.size(3), ", the cuda backend has ", "up to ",
        2 * kCudaRotaryPairs, "; use the cpu backend or a smaller head size"));
  }
  RotaryParams params = {};
  params.x = x.data();
  params.y = y.data();
  params.positions = positions.data_as<int64_t>();
  for (int dim = 0; dim < 3; ++dim) {
    params.x_stride[dim] = x.stride(dim);
    params.y_stride[dim] = y.stride(dim);
  }
  params.heads = x.size(2);
  params.rows = x.size(0) * params.heads;
  params.half = x.size(3) / 2;
  params.inverse = inverse;
  params.wide = AllowsVectors(x) && AllowsVectors(y) &&
                params.half * BytesPerElement(x.dtype()) % 16 == 0;
  SetTurns(base, &params);
  params.plan = PlanCudaRotary(x.size(1), params.rows, params.half);
  const LaunchShape shape = {CudaBlocks(params.plan.items), kCudaThreads, 0};
  return x.dtype() == DType::kBF16
             ? Launch("Rotary", RotaryKernel<Bf16>, shape, stream, params)
             : Launch("Rotary", RotaryKernel<float>, shape, stream, params);
}

}  // namespace longspan::kernels::cuda
