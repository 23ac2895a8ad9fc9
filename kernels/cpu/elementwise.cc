#include "kernels/cpu/elementwise.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "common/base/status_macros.h"
#include "kernels/api/bfloat16.h"
#include "kernels/api/elementwise_operands.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/cpu_stream.h"
#include "kernels/cpu/op_kernels.h"
#include "kernels/cpu/work_split.h"

namespace longspan::kernels {
namespace {

template <typename T>
void SiluRuns(ConstTensorView x, TensorView y, ThreadPool& pool) {
  const auto kernel = RowKernelsOf<T>().silu;
  ForRuns(pool, {x, y}, [&](const RunSplitter::Run& run) {
    kernel(run.size, x.data_as<T>() + run.offsets[0],
           y.data_as<T>() + run.offsets[1]);
  });
}

template <typename T>
void SiluBackwardRuns(ConstTensorView x, ConstTensorView d_y, TensorView d_x,
                      ThreadPool& pool) {
  const auto kernel = RowKernelsOf<T>().silu_backward;
  ForRuns(pool, {x, d_y, d_x}, [&](const RunSplitter::Run& run) {
    kernel(run.size, x.data_as<T>() + run.offsets[0],
           d_y.data_as<T>() + run.offsets[1],
           d_x.data_as<T>() + run.offsets[2]);
  });
}

// swiglu and add: two inputs, one output.
template <typename T>
void BinaryRuns(void (*kernel)(int64_t, const T*, const T*, T*),
                ConstTensorView a, ConstTensorView b, TensorView out,
                ThreadPool& pool) {
  ForRuns(pool, {a, b, out}, [&](const RunSplitter::Run& run) {
    kernel(run.size, a.data_as<T>() + run.offsets[0],
           b.data_as<T>() + run.offsets[1], out.data_as<T>() + run.offsets[2]);
  });
}

template <typename T>
void SwiGluBackwardRuns(ConstTensorView gate, ConstTensorView up,
                        ConstTensorView d_y, TensorView d_gate, TensorView d_up,
                        ThreadPool& pool) {
  const auto kernel = RowKernelsOf<T>().swiglu_backward;
  ForRuns(pool, {gate, up, d_y, d_gate, d_up},
          [&](const RunSplitter::Run& run) {
            kernel(run.size, gate.data_as<T>() + run.offsets[0],
                   up.data_as<T>() + run.offsets[1],
                   d_y.data_as<T>() + run.offsets[2],
                   d_gate.data_as<T>() + run.offsets[3],
                   d_up.data_as<T>() + run.offsets[4]);
          });
}

// Copies one row whose last dimension may be strided on either side.
void CopyRow(const char* from, int64_t from_step, char* to, int64_t to_step,
             int64_t count, int64_t width) {
  if (from_step == width && to_step == width) {
    std::memmove(to, from, count * width);
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(to + i * to_step, from + i * from_step, width);
  }
}

// Unlike the others, Copy knows bf16.
constexpr OperandRules kCopyOperands = {true, true, true};

// y = convert(x), element by element; last dimensions are contiguous.
template <typename From, typename To>
void ConvertRuns(ConstTensorView from, TensorView to, To (*convert)(From),
                 ThreadPool& pool) {
  ForRuns(pool, {from, to}, [&](const RunSplitter::Run& run) {
    const From* const x = from.data_as<From>() + run.offsets[0];
    To* const y = to.data_as<To>() + run.offsets[1];
    for (int64_t i = 0; i < run.size; ++i) y[i] = convert(x[i]);
  });
}

}  // namespace

absl::Status CpuElementwise::Silu(ConstTensorView x, TensorView y,
                                  Stream& stream) {
  RETURN_IF_ERROR(CheckSameRows("Silu", x, {y}));
  ThreadPool& pool = CpuStream::PoolOf(stream);
  if (x.dtype() == DType::kF32) {
    SiluRuns<float>(x, y, pool);
  } else {
    SiluRuns<double>(x, y, pool);
  }
  return absl::OkStatus();
}

absl::Status CpuElementwise::SiluBackward(ConstTensorView x,
                                          ConstTensorView d_y, TensorView d_x,
                                          Stream& stream) {
  RETURN_IF_ERROR(CheckSameRows("SiluBackward", x, {d_y, d_x}));
  ThreadPool& pool = CpuStream::PoolOf(stream);
  if (x.dtype() == DType::kF32) {
    SiluBackwardRuns<float>(x, d_y, d_x, pool);
  } else {
    SiluBackwardRuns<double>(x, d_y, d_x, pool);
  }
  return absl::OkStatus();
}

absl::Status CpuElementwise::SwiGlu(ConstTensorView gate, ConstTensorView up,
                                    TensorView y, Stream& stream) {
  RETURN_IF_ERROR(CheckSameRows("SwiGlu", gate, {up, y}));
  ThreadPool& pool = CpuStream::PoolOf(stream);
  if (gate.dtype() == DType::kF32) {
    BinaryRuns<float>(RowKernelsOf<float>().swiglu, gate, up, y, pool);
  } else {
    BinaryRuns<double>(RowKernelsOf<double>().swiglu, gate, up, y, pool);
  }
  return absl::OkStatus();
}

absl::Status CpuElementwise::SwiGluBackward(ConstTensorView gate,
                                            ConstTensorView up,
                                            ConstTensorView d_y,
                                            TensorView d_gate, TensorView d_up,
                                            Stream& stream) {
  RETURN_IF_ERROR(
      CheckSameRows("SwiGluBackward", gate, {up, d_y, d_gate, d_up}));
  ThreadPool& pool = CpuStream::PoolOf(stream);
  if (gate.dtype() == DType::kF32) {
    SwiGluBackwardRuns<float>(gate, up, d_y, d_gate, d_up, pool);
  } else {
    SwiGluBackwardRuns<double>(gate, up, d_y, d_gate, d_up, pool);
  }
  return absl::OkStatus();
}

absl::Status CpuElementwise::Add(ConstTensorView a, ConstTensorView b,
                                 TensorView out, Stream& stream) {
  RETURN_IF_ERROR(CheckSameRows("Add", a, {b, out}));
  ThreadPool& pool = CpuStream::PoolOf(stream);
  if (a.dtype() == DType::kF32) {
    BinaryRuns<float>(RowKernelsOf<float>().add, a, b, out, pool);
  } else {
    BinaryRuns<double>(RowKernelsOf<double>().add, a, b, out, pool);
  }
  return absl::OkStatus();
}

absl::Status CpuElementwise::SetZero(TensorView x, Stream& stream) {
  RETURN_IF_ERROR(CheckSameRows("SetZero", x, {}));
  const int64_t width = BytesPerElement(x.dtype());
  ForRuns(CpuStream::PoolOf(stream), {x}, [&](const RunSplitter::Run& run) {
    std::memset(static_cast<char*>(x.data()) + run.offsets[0] * width, 0,
                run.size * width);
  });
  return absl::OkStatus();
}

absl::Status CpuElementwise::Copy(ConstTensorView from, TensorView to,
                                  Stream& stream) {
  RETURN_IF_ERROR(CheckCopy(from, to, kCopyOperands));
  if (from.dtype() != to.dtype()) {
    ThreadPool& pool = CpuStream::PoolOf(stream);
    if (to.dtype() == DType::kBF16) {
      ConvertRuns<float, BFloat16>(from, to, ToBFloat16, pool);
    } else {
      ConvertRuns<BFloat16, float>(from, to, ToFloat, pool);
    }
    return absl::OkStatus();
  }
  const int64_t width = BytesPerElement(from.dtype());
  const int last = std::max(from.rank() - 1, 0);
  const auto* source = static_cast<const char*>(from.data());
  auto* target = static_cast<char*>(to.data());
  const bool whole = from.is_contiguous() && to.is_contiguous();
  ForRuns(CpuStream::PoolOf(stream), {from, to},
          [&](const RunSplitter::Run& run) {
            CopyRow(source + run.offsets[0] * width,
                    width * (whole ? 1 : from.stride(last)),
                    target + run.offsets[1] * width,
                    width * (whole ? 1 : to.stride(last)), run.size, width);
          });
  return absl::OkStatus();
}

absl::Status CpuElementwise::Scale(ConstTensorView x, ConstTensorView factor,
                                   TensorView y, Stream&) {
  RETURN_IF_ERROR(CheckScale(x, factor, y));
  const double by = factor.data_as<double>()[0];
  const auto load = [&x](int64_t i) {
    return x.dtype() == DType::kF64 ? x.data_as<double>()[i]
                                    : x.data_as<float>()[i];
  };
  for (int64_t i = 0; i < x.size(0); ++i) {
    if (y.dtype() == DType::kF64) {
      y.data_as<double>()[i] = by * load(i);
    } else {
      y.data_as<float>()[i] = static_cast<float>(by * load(i));
    }
  }
  return absl::OkStatus();
}

std::unique_ptr<Elementwise> CreateCpuElementwise() {
  return std::make_unique<CpuElementwise>();
}

}  // namespace longspan::kernels
