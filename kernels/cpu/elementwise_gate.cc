#include <algorithm>

#include "common/base/status_macros.h"
#include "kernels/api/elementwise_operands.h"
#include "kernels/cpu/column_sums.h"
#include "kernels/cpu/cpu_stream.h"
#include "kernels/cpu/elementwise.h"
#include "kernels/cpu/op_kernels.h"
#include "kernels/cpu/work_split.h"

// The log gate. Rows are as short as the number of heads, so contiguous rows
// are taken several at a time with the bias repeated.
namespace longspan::kernels {
namespace {

constexpr int64_t kRepeatedElements = 256;

template <typename T>
struct Bias {
  T values[kRepeatedElements];
  const T* data = nullptr;
  int64_t rows = 1;  // rows that `data` serves at once

  Bias(ConstTensorView bias, bool contiguous_rows) {
    const int64_t size = bias.size(0);
    data = bias.data_as<T>();
    if (!contiguous_rows || size == 0 || size > kRepeatedElements) return;
    rows = kRepeatedElements / size;
    for (int64_t row = 0; row < rows; ++row) {
      std::copy_n(bias.data_as<T>(), size, values + row * size);
    }
    data = values;
  }
};

// body(first row, elements) for runs of bias.rows rows.
template <typename T, typename Body>
void ForBiasedRows(ThreadPool& pool, ConstTensorView x, const Bias<T>& bias,
                   const Body& body) {
  const int64_t size = x.size(1);
  const int64_t groups = (x.size(0) + bias.rows - 1) / bias.rows;
  ForBlocks(pool, groups, GrainOf(size * bias.rows),
            [&](int64_t begin, int64_t end) {
              for (int64_t group = begin; group < end; ++group) {
                const int64_t row = group * bias.rows;
                body(row, std::min(bias.rows, x.size(0) - row) * size);
              }
            });
}

template <typename T>
void Gate(ConstTensorView x, ConstTensorView bias, double normalizer,
          TensorView y, ThreadPool& pool) {
  const Bias<T> repeated(bias, x.is_contiguous() && y.is_contiguous());
  ForBiasedRows(pool, x, repeated, [&](int64_t row, int64_t count) {
    RowKernelsOf<T>().log_sigmoid(
        count, x.data_as<T>() + row * x.stride(0), repeated.data,
        static_cast<T>(1.0 / normalizer), y.data_as<T>() + row * y.stride(0));
  });
}

template <typename T>
void GateBackward(ConstTensorView x, ConstTensorView bias, double normalizer,
                  ConstTensorView d_y, TensorView d_x, TensorView d_bias,
                  ThreadPool& pool) {
  const bool contiguous =
      x.is_contiguous() && d_y.is_contiguous() && d_x.is_contiguous();
  const Bias<T> repeated(bias, contiguous);
  ForBiasedRows(pool, x, repeated, [&](int64_t row, int64_t count) {
    RowKernelsOf<T>().log_sigmoid_backward(
        count, x.data_as<T>() + row * x.stride(0), repeated.data,
        static_cast<T>(1.0 / normalizer),
        d_y.data_as<T>() + row * d_y.stride(0),
        d_x.data_as<T>() + row * d_x.stride(0));
  });
  AddColumnSums<T>(d_x, d_bias, pool);
}

}  // namespace

absl::Status CpuElementwise::LogSigmoidGate(ConstTensorView x,
                                            ConstTensorView bias,
                                            double normalizer, TensorView y,
                                            Stream& stream) {
  RETURN_IF_ERROR(CheckLogSigmoidGate(x, bias, normalizer, y));
  ThreadPool& pool = CpuStream::PoolOf(stream);
  if (x.dtype() == DType::kF32) {
    Gate<float>(x, bias, normalizer, y, pool);
  } else {
    Gate<double>(x, bias, normalizer, y, pool);
  }
  return absl::OkStatus();
}

absl::Status CpuElementwise::LogSigmoidGateBackward(
    ConstTensorView x, ConstTensorView bias, double normalizer,
    ConstTensorView d_y, TensorView d_x, TensorView d_bias, Stream& stream) {
  RETURN_IF_ERROR(
      CheckLogSigmoidGateBackward(x, bias, normalizer, d_y, d_x, d_bias));
  ThreadPool& pool = CpuStream::PoolOf(stream);
  if (x.dtype() == DType::kF32) {
    GateBackward<float>(x, bias, normalizer, d_y, d_x, d_bias, pool);
  } else {
    GateBackward<double>(x, bias, normalizer, d_y, d_x, d_bias, pool);
  }
  return absl::OkStatus();
}

}  // namespace longspan::kernels
