#include "kernels/api/token_gates.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "common/base/status_macros.h"
#include "kernels/api/token_gates_operands.h"
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
    return view.template data_as<T>() + m * view.stride(0) + begin;
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

template <typename T>
void Gate(const SoftplusGateInputs& inputs, TensorView y, ThreadPool& pool) {
  const int64_t columns = inputs.x.size(1);
  ForBlocks(pool, inputs.x.size(0), GrainOf(columns),
            [&](int64_t begin, int64_t end) {
              for (int64_t n = 0; n < columns; n += kColumns) {
                const GateColumns<T> gate(inputs, n,
                                          std::min(columns, n + kColumns));
                for (int64_t m = begin; m < end; ++m) {
                  gate.Forward(inputs, m, gate.At(y, m));
                }
              }
            });
}

template <typename T>
void AddTo(TensorView sums, int64_t index, double value) {
  T& sum = sums.data_as<T>()[index];
  sum = static_cast<T>(sum + value);
}

// d_x, and the parameters' sums over rows in row order. y is a_log's factor
// times something, so that d_a_log is the sum of d_y y.
template <typename T>
void GateColumnsBackward(const SoftplusGateInputs& inputs,
                         const GateColumns<T>& gate, ConstTensorView d_y,
                         const SoftplusGateGradients& d) {
  double bias[kColumns] = {};
  double a_log[kColumns] = {};
  T y[kColumns];
  for (int64_t m = 0; m < inputs.x.size(0); ++m) {
    const T* seed = gate.At(d_y, m);
    T* d_x = gate.At(d.d_x, m);
    gate.Forward(inputs, m, y);
    for (int64_t n = 0; n < gate.count; ++n) a_log[n] += double{seed[n]} * y[n];
    gate.Backward(inputs, m, seed, d_x);
    for (int64_t n = 0; n < gate.count; ++n) bias[n] += d_x[n];
  }
  const int64_t size = inputs.x.size(1) / inputs.a_log.size(0);
  for (int64_t n = 0; n < gate.count; ++n) {
    AddTo<T>(d.d_bias, gate.begin + n, bias[n]);
    AddTo<T>(d.d_a_log, (gate.begin + n) / size, a_log[n]);
  }
}

// Items are whole heads, so that each parameter has one writer.
template <typename T>
void GateBackward(const SoftplusGateInputs& inputs, ConstTensorView d_y,
                  const SoftplusGateGradients& d, ThreadPool& pool) {
  const int64_t heads = inputs.a_log.size(0);
  const int64_t size = inputs.x.size(1) / heads;
  const int64_t grain = std::max<int64_t>(1, kColumns / size);
  ForBlocks(pool, heads, grain, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin * size; n < end * size; n += kColumns) {
      const int64_t stop = std::min(end * size, n + kColumns);
      GateColumnsBackward(inputs, GateColumns<T>(inputs, n, stop), d_y, d);
    }
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
};

}  // namespace

std::unique_ptr<TokenGates> CreateCpuTokenGates() {
  return std::make_unique<CpuTokenGates>();
}

}  // namespace longspan::kernels
