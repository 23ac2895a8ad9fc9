// y = logsigmoid(x + bias) / normalizer, one number per token and head: small
// beside everything else of a layer.
#include "common/base/status_macros.h"
#include "kernels/api/elementwise_operands.h"
#include "kernels/cost/cuda_op_plan.h"
#include "kernels/cuda/element_pack.h"
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/op_launch.h"
#include "kernels/cuda/sigmoid.h"
#include "kernels/cuda/team_sum.h"

namespace longspan::kernels::cuda {
namespace {

struct GateParams {
  const void* x;
  const float* bias;
  float* y;
  const float* d_y;
  void* d_x;
  float* d_bias;
  int64_t x_stride;
  int64_t y_stride;
  int64_t d_y_stride;
  int64_t d_x_stride;
  int64_t rows;
  int64_t columns;
  float normalizer;
};

template <typename T>
LONGSPAN_KERNEL(kCudaThreads, 2)
GateKernel(const GateParams p) {
  const int64_t item = BlockIndex() * kCudaThreads + ThreadIndex();
  const int64_t row = item / p.columns;
  const int64_t column = item - row * p.columns;
  if (row >= p.rows) return;
  const float x =
      LoadElement(static_cast<const T*>(p.x) + row * p.x_stride + column);
  p.y[row * p.y_stride + column] =
      LogSigmoid(x + p.bias[column]) / p.normalizer;
}

// A block owns kCudaGateColumns columns and walks all rows, so that d_bias
// needs neither atomics nor memory for partial sums.
template <typename T>
LONGSPAN_KERNEL(kCudaThreads, 2)
GateBackwardKernel(const GateParams p) {
  const int64_t first = BlockIndex() * kCudaGateColumns;
  auto* shared = reinterpret_cast<float*>(SharedMemory());
  float sums[kCudaGateColumns] = {};
  for (int64_t row = ThreadIndex(); row < p.rows; row += kCudaThreads) {
    const T* x = static_cast<const T*>(p.x) + row * p.x_stride + first;
    const float* d_y = p.d_y + row * p.d_y_stride + first;
    T* d_x = static_cast<T*>(p.d_x) + row * p.d_x_stride + first;
    LONGSPAN_UNROLL
    for (int c = 0; c < kCudaGateColumns; ++c) {
      if (first + c >= p.columns) break;
      const float z = LoadElement(x + c) + p.bias[first + c];
      const float d = d_y[c] * Sigmoid(-z) / p.normalizer;
      StoreElement(d_x + c, d);
      sums[c] += d;
    }
  }
  LONGSPAN_UNROLL
  for (int c = 0; c < kCudaGateColumns; ++c) {
    const float sum = TeamSum(sums[c], kCudaThreads, shared, c % 2);
    if (ThreadIndex() == 0 && first + c < p.columns) p.d_bias[first + c] += sum;
  }
}

GateParams ParamsOf(ConstTensorView x, ConstTensorView bias,
                    double normalizer) {
  GateParams params = {};
  params.x = x.data();
  params.bias = bias.data_as<float>();
  params.x_stride = x.stride(0);
  params.rows = x.size(0);
  params.columns = x.size(1);
  params.normalizer = static_cast<float>(normalizer);
  return params;
}

}  // namespace

absl::Status CudaElementwise::LogSigmoidGate(ConstTensorView x,
                                             ConstTensorView bias,
                                             double normalizer, TensorView y,
                                             Stream& stream) {
  RETURN_IF_ERROR(CheckLogSigmoidGate(x, bias, normalizer, y, kCudaOperands));
  GateParams params = ParamsOf(x, bias, normalizer);
  params.y = y.data_as<float>();
  params.y_stride = y.stride(0);
  const LaunchShape shape = {CudaBlocks(x.element_count()), kCudaThreads, 0};
  return x.dtype() == DType::kBF16
             ? Launch("LogSigmoidGate", GateKernel<Bf16>, shape, stream, params)
             : Launch("LogSigmoidGate", GateKernel<float>, shape, stream,
                      params);
}

absl::Status CudaElementwise::LogSigmoidGateBackward(
    ConstTensorView x, ConstTensorView bias, double normalizer,
    ConstTensorView d_y, TensorView d_x, TensorView d_bias, Stream& stream) {
  RETURN_IF_ERROR(CheckLogSigmoidGateBackward(x, bias, normalizer, d_y, d_x,
                                              d_bias, kCudaOperands));
  GateParams params = ParamsOf(x, bias, normalizer);
  params.d_y = d_y.data_as<float>();
  params.d_y_stride = d_y.stride(0);
  params.d_x = d_x.data();
  params.d_x_stride = d_x.stride(0);
  params.d_bias = d_bias.data_as<float>();
  const int64_t blocks =
      (params.columns + kCudaGateColumns - 1) / kCudaGateColumns;
  const LaunchShape shape = {blocks, kCudaThreads,
                             kTeamSumFloats * sizeof(float)};
  return x.dtype() == DType::kBF16
             ? Launch("LogSigmoidGateBackward", GateBackwardKernel<Bf16>, shape,
                      stream, params)
             : Launch("LogSigmoidGateBackward", GateBackwardKernel<float>,
                      shape, stream, params);
}

}  // namespace longspan::kernels::cuda
