#include "common/base/status_macros.h"
#include "kernels/api/elementwise_operands.h"
#include "kernels/api/operand_check.h"
#include "kernels/cost/workspace.h"
#include "kernels/cpu/cpu_stream.h"
#include "kernels/cpu/elementwise.h"
#include "kernels/cpu/op_kernels.h"
#include "kernels/cpu/row_sums.h"
#include "kernels/cpu/work_split.h"

namespace longspan::kernels {
namespace {

int64_t GroupsOf(ConstTensorView x) { return x.rank() == 3 ? x.size(1) : 1; }

int64_t GroupStride(ConstTensorView x) {
  return x.rank() == 3 ? x.stride(1) : 0;
}

template <typename T>
RmsNormRow<T> RowAt(const RmsNormInputs& inputs, int64_t m) {
  RmsNormRow<T> row;
  row.groups = GroupsOf(inputs.x);
  row.size = inputs.weight.size(0);
  row.weight = inputs.weight.data_as<T>();
  row.x = inputs.x.data_as<T>() + m * inputs.x.stride(0);
  row.x_stride = GroupStride(inputs.x);
  if (!inputs.gate.is_null()) {
    row.gate = inputs.gate.data_as<T>() + m * inputs.gate.stride(0);
    row.gate_stride = GroupStride(inputs.gate);
  }
  return row;
}

template <typename T>
RmsNormRowGradients<T> GradientRowAt(const RmsNormGradients& gradients,
                                     ConstTensorView rstd, ConstTensorView d_y,
                                     int64_t m, T* d_weight) {
  RmsNormRowGradients<T> row;
  row.d_y = d_y.data_as<T>() + m * d_y.stride(0);
  row.d_y_stride = GroupStride(d_y);
  row.rstd = rstd.data_as<T>() + m * GroupsOf(d_y);
  row.d_x = gradients.d_x.data_as<T>() + m * gradients.d_x.stride(0);
  row.d_x_stride = GroupStride(gradients.d_x);
  row.accumulate = gradients.accumulate;
  if (!gradients.d_gate.is_null()) {
    row.d_gate = gradients.d_gate.data_as<T>() + m * gradients.d_gate.stride(0);
    row.d_gate_stride = GroupStride(gradients.d_gate);
  }
  row.d_weight = d_weight;
  return row;
}

template <typename T>
void Forward(const RmsNormInputs& inputs, TensorView y, TensorView rstd,
             ThreadPool& pool) {
  const int64_t groups = GroupsOf(inputs.x);
  const auto kernel = RowKernelsOf<T>().rms_norm;
  ForBlocks(pool, inputs.x.size(0), GrainOf(groups * inputs.weight.size(0)),
            [&](int64_t begin, int64_t end) {
              for (int64_t m = begin; m < end; ++m) {
                kernel(RowAt<T>(inputs, m), inputs.epsilon,
                       y.data_as<T>() + m * y.stride(0), GroupStride(y),
                       rstd.data_as<T>() + m * groups);
              }
            });
}

template <typename T>
void Backward(const RmsNormInputs& inputs, ConstTensorView rstd,
              ConstTensorView d_y, const RmsNormGradients& gradients,
              TensorView workspace, ThreadPool& pool) {
  const auto kernel = RowKernelsOf<T>().rms_norm_backward;
  const RowSums<T> sums(inputs.x.size(0), inputs.weight.size(0), workspace);
  sums.Sum(pool, [&](int64_t begin, int64_t end, T* d_weight) {
    for (int64_t m = begin; m < end; ++m) {
      kernel(RowAt<T>(inputs, m),
             GradientRowAt<T>(gradients, rstd, d_y, m, d_weight));
    }
  });
  sums.AddTo(0, gradients.d_weight);
}

}  // namespace

absl::Status CpuElementwise::RmsNorm(const RmsNormInputs& inputs, TensorView y,
                                     TensorView rstd, Stream& stream) {
  RETURN_IF_ERROR(CheckRmsNorm(inputs, y, rstd));
  ThreadPool& pool = CpuStream::PoolOf(stream);
  if (y.dtype() == DType::kF32) {
    Forward<float>(inputs, y, rstd, pool);
  } else {
    Forward<double>(inputs, y, rstd, pool);
  }
  return absl::OkStatus();
}

absl::Status CpuElementwise::RmsNormBackward(
    const RmsNormInputs& inputs, ConstTensorView rstd, ConstTensorView d_y,
    const RmsNormGradients& gradients, TensorView workspace, Stream& stream) {
  RETURN_IF_ERROR(CheckRmsNormBackward(inputs, rstd, d_y, gradients));
  const int64_t bytes = RmsNormBackwardWorkspaceBytes(
      inputs.x.size(0), inputs.weight.size(0), BytesPerElement(d_y.dtype()),
      BackendKind::kCpu, 1);
  OperandCheck check("RmsNormBackward");
  RETURN_IF_ERROR(check.Workspace(workspace, bytes).status());
  ThreadPool& pool = CpuStream::PoolOf(stream);
  if (d_y.dtype() == DType::kF32) {
    Backward<float>(inputs, rstd, d_y, gradients, workspace, pool);
  } else {
    Backward<double>(inputs, rstd, d_y, gradients, workspace, pool);
  }
  return absl::OkStatus();
}

}  // namespace longspan::kernels
