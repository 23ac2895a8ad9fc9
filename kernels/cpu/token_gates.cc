#include "kernels/api/token_gates.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "common/base/status_macros.h"
#include "kernels/api/token_gates_operands.h"
#include "kernels/cpu/column_sums.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/cpu_stream.h"
#include "kernels/cpu/op_kernels.h"
#include "kernels/cpu/work_split.h"

namespace longspan::kernels {
namespace {

template <typename T>
void SigmoidRuns(ConstTensorView x, double factor, TensorView y,
                 ThreadPool& pool) {
  ForRuns(pool, {x, y}, [&](const RunSplitter::Run& run) {
    RowKernelsOf<T>().sigmoid(run.size, x.data_as<T>() + run.offsets[0],
                              static_cast<T>(factor),
                              y.data_as<T>() + run.offsets[1]);
  });
}

template <typename T>
void SigmoidBackwardRuns(ConstTensorView x, double factor, ConstTensorView d_y,
                         TensorView d_x, ThreadPool& pool) {
  ForRuns(pool, {x, d_y, d_x}, [&](const RunSplitter::Run& run) {
    RowKernelsOf<T>().sigmoid_backward(
        run.size, x.data_as<T>() + run.offsets[0], static_cast<T>(factor),
        d_y.data_as<T>() + run.offsets[1], d_x.data_as<T>() + run.offsets[2]);
  });
}

constexpr int64_t kColumns = 64;

template <typename T, typename View>
auto RowOf(const View& view, int64_t m) {
  return view.template data_as<T>() + m * view.stride(0);
}

// Columns [begin, end) of a log gate, at most kColumns, with what all rows
// share: -e^a_log of each column.
template <typename T>
struct GateColumns {
  int64_t begin;
  int64_t count;
  T rates[kColumns];

  GateColumns(const SoftplusGateInputs& inputs, int64_t begin, int64_t end)
      : begin(begin), count(end - begin) {
    const int64_t size = inputs.x.size(1) / inputs.a_log.size(0);
    for (int64_t n = 0; n < count; ++n) {
      rates[n] = -std::exp(inputs.a_log.data_as<T>()[(begin + n) / size]);
    }
  }

  template <typename View>
  auto At(const View& view, int64_t m) const {
    return RowOf<T>(view, m) + begin;
  }
  void Forward(const SoftplusGateInputs& inputs, int64_t m, T* y) const {
    RowKernelsOf<T>().softplus(count, At(inputs.x, m),
                               inputs.bias.data_as<T>() + begin, rates, y);
  }
  void Backward(const SoftplusGateInputs& inputs, int64_t m, const T* d_y,
                T* d_x) const {
    RowKernelsOf<T>().softplus_backward(count, At(inputs.x, m),
                                        inputs.bias.data_as<T>() + begin, rates,
                                        d_y, d_x);
  }
};

// body(columns, row) for all columns of all rows.
template <typename T, typename Body>
void ForGateRows(const SoftplusGateInputs& inputs, ThreadPool& pool,
                 const Body& body) {
  const int64_t columns = inputs.x.size(1);
  ForBlocks(pool, inputs.x.size(0), GrainOf(columns),
            [&](int64_t begin, int64_t end) {
              for (int64_t n = 0; n < columns; n += kColumns) {
                const GateColumns<T> gate(inputs, n,
                                          std::min(columns, n + kColumns));
                for (int64_t m = begin; m < end; ++m) body(gate, m);
              }
            });
}

template <typename T>
void Gate(const SoftplusGateInputs& inputs, TensorView y, ThreadPool& pool) {
  ForGateRows<T>(inputs, pool, [&](const GateColumns<T>& gate, int64_t m) {
    gate.Forward(inputs, m, gate.At(y, m));
  });
}

template <typename T>
void AddTo(TensorView sums, int64_t index, double value) {
  T& sum = sums.data_as<T>()[index];
  sum = static_cast<T>(sum + value);
}

// The log gate itself waits in d_x for its product with d_y.
template <typename T>
void GateBackward(const SoftplusGateInputs& inputs, ConstTensorView d_y,
                  const SoftplusGateGradients& d, ThreadPool& pool) {
  Gate<T>(inputs, d.d_x, pool);
  AddHeadProducts<T>(d_y, d.d_x, d.d_a_log, pool);
  ForGateRows<T>(inputs, pool, [&](const GateColumns<T>& gate, int64_t m) {
    gate.Backward(inputs, m, gate.At(d_y, m), gate.At(d.d_x, m));
  });
  AddColumnSums<T>(d.d_x, d.d_bias, pool);
}

template <typename T>
void ForgetRuns(ConstTensorView x, TensorView y, TensorView k,
                ThreadPool& pool) {
  ForRuns(pool, {x, y, k}, [&](const RunSplitter::Run& run) {
    RowKernelsOf<T>().forget(run.size, x.data_as<T>() + run.offsets[0],
                             y.data_as<T>() + run.offsets[1],
                             k.data_as<T>() + run.offsets[2]);
  });
}

template <typename T>
void ForgetBackwardRuns(ConstTensorView x, ConstTensorView d_y,
                        ConstTensorView d_k, TensorView d_x, ThreadPool& pool) {
  ForRuns(pool, {x, d_y, d_k, d_x}, [&](const RunSplitter::Run& run) {
    RowKernelsOf<T>().forget_backward(run.size, x.data_as<T>() + run.offsets[0],
                                      d_y.data_as<T>() + run.offsets[1],
                                      d_k.data_as<T>() + run.offsets[2],
                                      d_x.data_as<T>() + run.offsets[3]);
  });
}

// Columns [begin, begin + count) of BoundedForgetGate, at most kColumns.
template <typename T>
struct BoundColumns {
  int64_t begin;
  int64_t count;
  T bound[kColumns];
  T log_bound[kColumns];

  BoundColumns(const BoundedForgetGateInputs& inputs, int64_t begin,
               int64_t end)
      : begin(begin), count(end - begin) {
    for (int64_t n = 0; n < count; ++n) {
      double sum = 0.0;
      for (int64_t l = 1; l <= inputs.layer; ++l) sum += Share(inputs, l, n);
      bound[n] = static_cast<T>(sum);
      // A bound of 0, which has no logarithm, is below all that T can hold.
      const double least = std::numeric_limits<T>::min();
      log_bound[n] = static_cast<T>(std::log(std::max(sum, least)));
    }
  }

  // softmax(bounds)[l] of column begin + n.
  double Share(const BoundedForgetGateInputs& inputs, int64_t l,
               int64_t n) const {
    const T* column = inputs.bounds.data_as<T>() + begin + n;
    const int64_t stride = inputs.bounds.stride(0);
    double sum = 0.0;
    for (int64_t other = 0; other < inputs.bounds.size(0); ++other) {
      sum += std::exp(double{column[other * stride]} - column[l * stride]);
    }
    return 1.0 / sum;
  }
};

template <typename T>
void BoundedForgetRows(const BoundedForgetGateInputs& inputs, TensorView y,
                       TensorView k, ThreadPool& pool) {
  ForBlocks(pool, y.size(1), kColumns, [&](int64_t begin, int64_t end) {
    const BoundColumns<T> columns(inputs, begin, end);
    for (int64_t m = 0; m < y.size(0); ++m) {
      RowKernelsOf<T>().bounded_forget(
          columns.count, RowOf<T>(inputs.x, m) + begin, columns.bound,
          columns.log_bound, RowOf<T>(y, m) + begin, RowOf<T>(k, m) + begin);
    }
  });
}

// d_bounds of the columns: what softmax makes of the bound's gradient.
template <typename T>
void AddBoundGradients(const BoundedForgetGateInputs& inputs,
                       const BoundColumns<T>& columns, const double* d_bound,
                       TensorView d_bounds) {
  for (int64_t l = 0; l < d_bounds.size(0); ++l) {
    const double inside = 1 <= l && l <= inputs.layer ? 1.0 : 0.0;
    for (int64_t n = 0; n < columns.count; ++n) {
      T& to = RowOf<T>(d_bounds, l)[columns.begin + n];
      to = static_cast<T>(to + d_bound[n] * columns.Share(inputs, l, n) *
                                   (inside - columns.bound[n]));
    }
  }
}

// Items are columns, so that each element of d_bounds has one writer.
template <typename T>
void BoundedForgetRowsBackward(const BoundedForgetGateInputs& inputs,
                               ConstTensorView d_y, ConstTensorView d_k,
                               const BoundedForgetGateGradients& d,
                               ThreadPool& pool) {
  ForBlocks(pool, d_y.size(1), kColumns, [&](int64_t begin, int64_t end) {
    const BoundColumns<T> columns(inputs, begin, end);
    double sums[kColumns] = {};
    T d_bound[kColumns];
    for (int64_t m = 0; m < d_y.size(0); ++m) {
      RowKernelsOf<T>().bounded_forget_backward(
          columns.count, RowOf<T>(inputs.x, m) + begin, columns.bound,
          RowOf<T>(d_y, m) + begin, RowOf<T>(d_k, m) + begin,
          RowOf<T>(d.d_x, m) + begin, d_bound);
      for (int64_t n = 0; n < columns.count; ++n) sums[n] += d_bound[n];
    }
    AddBoundGradients(inputs, columns, sums, d.d_bounds);
  });
}

template <typename T>
void Product(const SigmoidProductInputs& inputs, TensorView y,
             ThreadPool& pool) {
  const int64_t columns = y.size(1);
  ForBlocks(pool, y.size(0), GrainOf(columns), [&](int64_t begin, int64_t end) {
    for (int64_t m = begin; m < end; ++m) {
      RowKernelsOf<T>().sigmoid_product(
          columns, RowOf<T>(inputs.x, m), RowOf<T>(inputs.gate, m),
          inputs.bias.data_as<T>(), RowOf<T>(y, m));
    }
  });
}

template <typename T>
void ProductBackward(const SigmoidProductInputs& inputs, ConstTensorView d_y,
                     const SigmoidProductGradients& d, ThreadPool& pool) {
  const int64_t columns = d_y.size(1);
  ForBlocks(pool, d_y.size(0), GrainOf(columns),
            [&](int64_t begin, int64_t end) {
              for (int64_t m = begin; m < end; ++m) {
                RowKernelsOf<T>().sigmoid_product_backward(
                    columns, RowOf<T>(inputs.x, m), RowOf<T>(inputs.gate, m),
                    inputs.bias.data_as<T>(), RowOf<T>(d_y, m),
                    RowOf<T>(d.d_x, m), RowOf<T>(d.d_gate, m));
              }
            });
  AddColumnSums<T>(d.d_gate, d.d_bias, pool);
}

template <typename T, typename View>
auto HeadOf(const View& view, int64_t m, int64_t h) {
  return RowOf<T>(view, m) + h * view.stride(1);
}

// y = or += factor x.
template <typename T>
void Scaled(int64_t size, T factor, const T* x, bool add, T* y) {
  for (int64_t i = 0; i < size; ++i) {
    y[i] = factor * x[i] + (add ? y[i] : T{0});
  }
}

template <typename T>
T Dot(int64_t size, const T* a, const T* b) {
  T sum = 0;
  for (int64_t i = 0; i < size; ++i) sum += a[i] * b[i];
  return sum;
}

// What turns a head's log gate into its step.
template <typename T>
T StepFactor(const StepProductInputs& inputs, int64_t h) {
  return -std::exp(-inputs.a_log.data_as<T>()[h]);
}

// An item of the following is a head, so that parameters have one writer.
template <typename T>
void Step(const StepProductInputs& inputs, TensorView y, ThreadPool& pool) {
  pool.ParallelFor(y.size(1), [&](int64_t h, int) {
    const T factor = StepFactor<T>(inputs, h);
    for (int64_t m = 0; m < y.size(0); ++m) {
      Scaled(y.size(2), factor * RowOf<T>(inputs.log_gate, m)[h],
             HeadOf<T>(inputs.x, m, h), false, HeadOf<T>(y, m, h));
    }
  });
}

template <typename T>
void StepBackward(const StepProductInputs& inputs, ConstTensorView d_y,
                  const StepProductGradients& d, ThreadPool& pool) {
  const int64_t size = d_y.size(2);
  pool.ParallelFor(d_y.size(1), [&](int64_t h, int) {
    const T factor = StepFactor<T>(inputs, h);
    double d_a_log = 0.0;
    for (int64_t m = 0; m < d_y.size(0); ++m) {
      const T step = factor * RowOf<T>(inputs.log_gate, m)[h];
      const T* seed = HeadOf<T>(d_y, m, h);
      const T d_step = Dot(size, seed, HeadOf<T>(inputs.x, m, h));
      Scaled(size, step, seed, false, HeadOf<T>(d.d_x, m, h));
      RowOf<T>(d.d_log_gate, m)[h] += factor * d_step;
      d_a_log -= double{step} * d_step;
    }
    AddTo<T>(d.d_a_log, h, d_a_log);
  });
}

template <typename T>
void Skip(ConstTensorView x, ConstTensorView weight, TensorView y,
          ThreadPool& pool) {
  pool.ParallelFor(y.size(1), [&](int64_t h, int) {
    for (int64_t m = 0; m < y.size(0); ++m) {
      Scaled(y.size(2), weight.data_as<T>()[h], HeadOf<T>(x, m, h), true,
             HeadOf<T>(y, m, h));
    }
  });
}

template <typename T>
void SkipBackward(ConstTensorView x, ConstTensorView weight,
                  ConstTensorView d_y, TensorView d_x, TensorView d_weight,
                  ThreadPool& pool) {
  Skip<T>(d_y, weight, d_x, pool);
  pool.ParallelFor(d_y.size(1), [&](int64_t h, int) {
    double sum = 0.0;
    for (int64_t m = 0; m < d_y.size(0); ++m) {
      sum += Dot(d_y.size(2), HeadOf<T>(d_y, m, h), HeadOf<T>(x, m, h));
    }
    AddTo<T>(d_weight, h, sum);
  });
}

class CpuTokenGates : public TokenGates {
 public:
  absl::Status Sigmoid(ConstTensorView x, double factor, TensorView y,
                       Stream& stream) override {
    RETURN_IF_ERROR(CheckSigmoid(x, y));
    ThreadPool& pool = CpuStream::PoolOf(stream);
    x.dtype() == DType::kF32 ? SigmoidRuns<float>(x, factor, y, pool)
                             : SigmoidRuns<double>(x, factor, y, pool);
    return absl::OkStatus();
  }

  absl::Status SigmoidBackward(ConstTensorView x, double factor,
                               ConstTensorView d_y, TensorView d_x,
                               Stream& stream) override {
    RETURN_IF_ERROR(CheckSigmoidBackward(x, d_y, d_x));
    ThreadPool& pool = CpuStream::PoolOf(stream);
    x.dtype() == DType::kF32
        ? SigmoidBackwardRuns<float>(x, factor, d_y, d_x, pool)
        : SigmoidBackwardRuns<double>(x, factor, d_y, d_x, pool);
    return absl::OkStatus();
  }

  absl::Status SoftplusGate(const SoftplusGateInputs& inputs, TensorView y,
                            Stream& stream) override {
    RETURN_IF_ERROR(CheckSoftplusGate(inputs, y));
    ThreadPool& pool = CpuStream::PoolOf(stream);
    y.dtype() == DType::kF32 ? Gate<float>(inputs, y, pool)
                             : Gate<double>(inputs, y, pool);
    return absl::OkStatus();
  }

  absl::Status SoftplusGateBackward(const SoftplusGateInputs& inputs,
                                    ConstTensorView d_y,
                                    const SoftplusGateGradients& gradients,
                                    Stream& stream) override {
    RETURN_IF_ERROR(CheckSoftplusGateBackward(inputs, d_y, gradients));
    ThreadPool& pool = CpuStream::PoolOf(stream);
    d_y.dtype() == DType::kF32
        ? GateBackward<float>(inputs, d_y, gradients, pool)
        : GateBackward<double>(inputs, d_y, gradients, pool);
    return absl::OkStatus();
  }

  absl::Status ForgetGate(ConstTensorView x, TensorView y, TensorView k,
                          Stream& stream) override {
    RETURN_IF_ERROR(CheckForgetGate(x, y, k));
    ThreadPool& pool = CpuStream::PoolOf(stream);
    x.dtype() == DType::kF32 ? ForgetRuns<float>(x, y, k, pool)
                             : ForgetRuns<double>(x, y, k, pool);
    return absl::OkStatus();
  }

  absl::Status ForgetGateBackward(ConstTensorView x, ConstTensorView d_y,
                                  ConstTensorView d_k, TensorView d_x,
                                  Stream& stream) override {
    RETURN_IF_ERROR(CheckForgetGateBackward(x, d_y, d_k, d_x));
    ThreadPool& pool = CpuStream::PoolOf(stream);
    x.dtype() == DType::kF32
        ? ForgetBackwardRuns<float>(x, d_y, d_k, d_x, pool)
        : ForgetBackwardRuns<double>(x, d_y, d_k, d_x, pool);
    return absl::OkStatus();
  }

  absl::Status BoundedForgetGate(const BoundedForgetGateInputs& inputs,
                                 TensorView y, TensorView k,
                                 Stream& stream) override {
    RETURN_IF_ERROR(CheckBoundedForgetGate(inputs, y, k));
    ThreadPool& pool = CpuStream::PoolOf(stream);
    k.dtype() == DType::kF32 ? BoundedForgetRows<float>(inputs, y, k, pool)
                             : BoundedForgetRows<double>(inputs, y, k, pool);
    return absl::OkStatus();
  }

  absl::Status BoundedForgetGateBackward(
      const BoundedForgetGateInputs& inputs, ConstTensorView d_y,
      ConstTensorView d_k, const BoundedForgetGateGradients& gradients,
      Stream& stream) override {
    RETURN_IF_ERROR(
        CheckBoundedForgetGateBackward(inputs, d_y, d_k, gradients));
    ThreadPool& pool = CpuStream::PoolOf(stream);
    d_k.dtype() == DType::kF32
        ? BoundedForgetRowsBackward<float>(inputs, d_y, d_k, gradients, pool)
        : BoundedForgetRowsBackward<double>(inputs, d_y, d_k, gradients, pool);
    return absl::OkStatus();
  }

  absl::Status SigmoidProduct(const SigmoidProductInputs& inputs, TensorView y,
                              Stream& stream) override {
    RETURN_IF_ERROR(CheckSigmoidProduct(inputs, y));
    ThreadPool& pool = CpuStream::PoolOf(stream);
    y.dtype() == DType::kF32 ? Product<float>(inputs, y, pool)
                             : Product<double>(inputs, y, pool);
    return absl::OkStatus();
  }

  absl::Status SigmoidProductBackward(const SigmoidProductInputs& inputs,
                                      ConstTensorView d_y,
                                      const SigmoidProductGradients& gradients,
                                      Stream& stream) override {
    RETURN_IF_ERROR(CheckSigmoidProductBackward(inputs, d_y, gradients));
    ThreadPool& pool = CpuStream::PoolOf(stream);
    d_y.dtype() == DType::kF32
        ? ProductBackward<float>(inputs, d_y, gradients, pool)
        : ProductBackward<double>(inputs, d_y, gradients, pool);
    return absl::OkStatus();
  }

  absl::Status StepProduct(const StepProductInputs& inputs, TensorView y,
                           Stream& stream) override {
    RETURN_IF_ERROR(CheckStepProduct(inputs, y));
    ThreadPool& pool = CpuStream::PoolOf(stream);
    y.dtype() == DType::kF32 ? Step<float>(inputs, y, pool)
                             : Step<double>(inputs, y, pool);
    return absl::OkStatus();
  }

  absl::Status StepProductBackward(const StepProductInputs& inputs,
                                   ConstTensorView d_y,
                                   const StepProductGradients& gradients,
                                   Stream& stream) override {
    RETURN_IF_ERROR(CheckStepProductBackward(inputs, d_y, gradients));
    ThreadPool& pool = CpuStream::PoolOf(stream);
    d_y.dtype() == DType::kF32
        ? StepBackward<float>(inputs, d_y, gradients, pool)
        : StepBackward<double>(inputs, d_y, gradients, pool);
    return absl::OkStatus();
  }

  absl::Status AddSkip(ConstTensorView x, ConstTensorView weight, TensorView y,
                       Stream& stream) override {
    RETURN_IF_ERROR(CheckAddSkip(x, weight, y));
    ThreadPool& pool = CpuStream::PoolOf(stream);
    y.dtype() == DType::kF32 ? Skip<float>(x, weight, y, pool)
                             : Skip<double>(x, weight, y, pool);
    return absl::OkStatus();
  }

  absl::Status AddSkipBackward(ConstTensorView x, ConstTensorView weight,
                               ConstTensorView d_y, TensorView d_x,
                               TensorView d_weight, Stream& stream) override {
    RETURN_IF_ERROR(CheckAddSkipBackward(x, weight, d_y, d_x, d_weight));
    ThreadPool& pool = CpuStream::PoolOf(stream);
    d_y.dtype() == DType::kF32
        ? SkipBackward<float>(x, weight, d_y, d_x, d_weight, pool)
        : SkipBackward<double>(x, weight, d_y, d_x, d_weight, pool);
    return absl::OkStatus();
  }
};

}  // namespace

std::unique_ptr<TokenGates> CreateCpuTokenGates() {
  return std::make_unique<CpuTokenGates>();
}

}  // namespace longspan::kernels
