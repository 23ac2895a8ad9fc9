#include "kernels/api/feature_map.h"

#include <algorithm>
#include <memory>

#include "common/base/status_macros.h"
#include "kernels/api/feature_map_operands.h"
#include "kernels/cost/matmul_tiles.h"
#include "kernels/cost/op_blocks.h"
#include "kernels/cost/workspace.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/cpu_stream.h"
#include "kernels/cpu/feature_map_kernels.h"
#include "kernels/cpu/work_split.h"

namespace longspan::kernels {
namespace {

const FeatureMapKernels& KernelsFor(InstructionSet set) {
#if defined(__x86_64__)
  if (set == InstructionSet::kAvx512) return avx512::kFeatureMapKernels;
  if (set == InstructionSet::kAvx2) return avx2::kFeatureMapKernels;
#endif
  (void)set;
  return baseline::kFeatureMapKernels;
}

template <typename T>
const FeatureMapRowKernels<T>& RowKernels() {
  const FeatureMapKernels& kernels = KernelsFor(BestInstructionSet());
  if constexpr (sizeof(T) == sizeof(float)) {
    return kernels.f32;
  } else {
    return kernels.f64;
  }
}

template <typename T>
const T* DataOf(ConstTensorView view) {
  return view.is_null() ? nullptr : view.data_as<T>();
}

// The head with running number `row` of a view [M, H, D].
template <typename T, typename View>
auto HeadAt(const View& view, int64_t row) {
  const int64_t heads = view.size(1);
  return view.template data_as<T>() + row / heads * view.stride(0) +
         row % heads * view.stride(1);
}

template <typename T>
FeatureMapRows<T> RowsOf(const FeatureMapInputs& inputs, int64_t features) {
  FeatureMapRows<T> rows;
  rows.kind = inputs.kind;
  rows.head_dim = inputs.x.size(2);
  rows.features = features;
  rows.hidden = inputs.weight.is_null() ? 0 : inputs.weight.size(0);
  rows.weight = DataOf<T>(inputs.weight);
  rows.bias = DataOf<T>(inputs.bias);
  rows.second_weight = DataOf<T>(inputs.second_weight);
  rows.second_bias = DataOf<T>(inputs.second_bias);
  rows.epsilon = inputs.epsilon;
  return rows;
}

template <typename T>
void MapHeads(const FeatureMapInputs& inputs, TensorView y, ThreadPool& pool) {
  const FeatureMapRowKernels<T>& kernels = RowKernels<T>();
  const int64_t total = y.size(0) * y.size(1);
  const int64_t grain = std::max<int64_t>(kernels.lanes, GrainOf(y.size(2)));
  ForBlocks(pool, total, grain, [&](int64_t begin, int64_t end) {
    FeatureMapRows<T> rows = RowsOf<T>(inputs, y.size(2));
    T* out[kMaxFeatureLanes] = {};
    for (int64_t row = begin; row < end; row += kernels.lanes) {
      rows.count =
          static_cast<int>(std::min<int64_t>(kernels.lanes, end - row));
      for (int lane = 0; lane < rows.count; ++lane) {
        rows.x[lane] = HeadAt<T>(inputs.x, row + lane);
        out[lane] = HeadAt<T>(y, row + lane);
      }
      kernels.map(rows, out);
    }
  });
}

// The parameters' places in a block's sums: weight, bias and the second pair
// one after the other.
template <typename T>
FeatureMapSums<T> SumsAt(const FeatureMapInputs& inputs, T* data) {
  const auto take = [&data](ConstTensorView parameter) -> T* {
    if (parameter.is_null()) return nullptr;
    T* place = data;
    data += parameter.element_count();
    return place;
  };
  FeatureMapSums<T> sums;
  sums.weight = take(inputs.weight);
  sums.bias = take(inputs.bias);
  sums.second_weight = take(inputs.second_weight);
  sums.second_bias = take(inputs.second_bias);
  return sums;
}

// gradient += the sums of all blocks, in order.
template <typename T>
void AddBlocks(const T* sums, int64_t blocks, int64_t stride,
               TensorView gradient) {
  if (gradient.is_null()) return;
  T* to = gradient.data_as<T>();
  for (int64_t i = 0; i < gradient.element_count(); ++i) {
    double sum = 0.0;
    for (int64_t block = 0; block < blocks; ++block) {
      sum += sums[block * stride + i];
    }
    to[i] = static_cast<T>(to[i] + sum);
  }
}

template <typename T>
void MapHeadsBackward(const FeatureMapInputs& inputs, ConstTensorView d_y,
                      const FeatureMapGradients& d, T* partial_sums,
                      ThreadPool& pool) {
  const FeatureMapRowKernels<T>& kernels = RowKernels<T>();
  const int64_t total = d_y.size(0) * d_y.size(1);
  const int64_t blocks = RowSumBlocks(total);
  const int64_t parameters = FeatureMapParameterCount(inputs);
  pool.ParallelFor(blocks, [&](int64_t block, int) {
    T* sums = partial_sums + block * parameters;
    std::fill_n(sums, parameters, T{0});
    FeatureMapRows<T> rows = RowsOf<T>(inputs, d_y.size(2));
    const T* d_out[kMaxFeatureLanes] = {};
    T* d_in[kMaxFeatureLanes] = {};
    const int64_t end = PartBegin(total, blocks, block + 1);
    for (int64_t row = PartBegin(total, blocks, block); row < end;
         row += kernels.lanes) {
      rows.count =
          static_cast<int>(std::min<int64_t>(kernels.lanes, end - row));
      for (int lane = 0; lane < rows.count; ++lane) {
        rows.x[lane] = HeadAt<T>(inputs.x, row + lane);
        d_out[lane] = HeadAt<T>(d_y, row + lane);
        d_in[lane] = HeadAt<T>(d.d_x, row + lane);
      }
      kernels.map_backward(rows, d_out, d_in, SumsAt(inputs, sums));
    }
  });
  const FeatureMapSums<T> first = SumsAt(inputs, partial_sums);
  AddBlocks<T>(first.weight, blocks, parameters, d.d_weight);
  AddBlocks<T>(first.bias, blocks, parameters, d.d_bias);
  AddBlocks<T>(first.second_weight, blocks, parameters, d.d_second_weight);
  AddBlocks<T>(first.second_bias, blocks, parameters, d.d_second_bias);
}

// body(head of wide, head of narrow, Dv) for every head.
template <typename T, typename Wide, typename Narrow, typename Body>
void ForHeads(ThreadPool& pool, const Wide& wide, const Narrow& narrow,
              const Body& body) {
  const int64_t size = narrow.size(2);
  ForBlocks(pool, narrow.size(0) * narrow.size(1), GrainOf(size),
            [&](int64_t begin, int64_t end) {
              for (int64_t row = begin; row < end; ++row) {
                body(HeadAt<T>(wide, row), HeadAt<T>(narrow, row), row, size);
              }
            });
}

template <typename T>
void AppendOne(ConstTensorView v, TensorView wide, ThreadPool& pool) {
  ForHeads<T>(pool, wide, v, [](T* to, const T* from, int64_t, int64_t size) {
    std::copy_n(from, size, to);
    to[size] = 1;
  });
}

template <typename T>
void Divide(ConstTensorView sums, double epsilon, TensorView o,
            ThreadPool& pool) {
  ForHeads<T>(pool, sums, o, [&](const T* from, T* to, int64_t, int64_t size) {
    const T factor = 1 / (from[size] + static_cast<T>(epsilon));
    for (int64_t i = 0; i < size; ++i) to[i] = from[i] * factor;
  });
}

template <typename T>
void DivideBackward(ConstTensorView sums, double epsilon, ConstTensorView d_o,
                    TensorView d_sums, ThreadPool& pool) {
  ForHeads<T>(pool, sums, d_o,
              [&](const T* from, const T* d, int64_t row, int64_t size) {
                T* to = HeadAt<T>(d_sums, row);
                const T factor = 1 / (from[size] + static_cast<T>(epsilon));
                T dot = 0;
                for (int64_t i = 0; i < size; ++i) {
                  dot += d[i] * from[i];
                  to[i] = d[i] * factor;
                }
                to[size] = -dot * factor * factor;
              });
}

class CpuFeatureMaps : public FeatureMaps {
 public:
  absl::Status Map(const FeatureMapInputs& inputs, TensorView y,
                   Stream& stream) override {
    RETURN_IF_ERROR(CheckFeatureMap(inputs, y));
    ThreadPool& pool = CpuStream::PoolOf(stream);
    if (y.dtype() == DType::kF32) {
      MapHeads<float>(inputs, y, pool);
    } else {
      MapHeads<double>(inputs, y, pool);
    }
    return absl::OkStatus();
  }

  absl::Status MapBackward(const FeatureMapInputs& inputs, ConstTensorView d_y,
                           const FeatureMapGradients& gradients,
                           TensorView workspace, Stream& stream) override {
    RETURN_IF_ERROR(CheckFeatureMapBackward(inputs, d_y, gradients));
    const int64_t bytes = FeatureMapBackwardWorkspaceBytes(
        d_y.size(0) * d_y.size(1), FeatureMapParameterCount(inputs),
        BytesPerElement(d_y.dtype()), BackendKind::kCpu);
    OperandCheck check("FeatureMapBackward");
    RETURN_IF_ERROR(check.Workspace(workspace, bytes).status());
    ThreadPool& pool = CpuStream::PoolOf(stream);
    if (d_y.dtype() == DType::kF32) {
      MapHeadsBackward(inputs, d_y, gradients,
                       static_cast<float*>(workspace.data()), pool);
    } else {
      MapHeadsBackward(inputs, d_y, gradients,
                       static_cast<double*>(workspace.data()), pool);
    }
    return absl::OkStatus();
  }

  absl::Status AppendOnes(ConstTensorView v, TensorView wide,
                          Stream& stream) override {
    RETURN_IF_ERROR(CheckWideAndNarrow("AppendOnes", wide, v));
    ThreadPool& pool = CpuStream::PoolOf(stream);
    v.dtype() == DType::kF32 ? AppendOne<float>(v, wide, pool)
                             : AppendOne<double>(v, wide, pool);
    return absl::OkStatus();
  }

  absl::Status Normalise(ConstTensorView sums, double epsilon, TensorView o,
                         Stream& stream) override {
    RETURN_IF_ERROR(CheckWideAndNarrow("Normalise", sums, o));
    ThreadPool& pool = CpuStream::PoolOf(stream);
    o.dtype() == DType::kF32 ? Divide<float>(sums, epsilon, o, pool)
                             : Divide<double>(sums, epsilon, o, pool);
    return absl::OkStatus();
  }

  absl::Status NormaliseBackward(ConstTensorView sums, double epsilon,
                                 ConstTensorView d_o, TensorView d_sums,
                                 Stream& stream) override {
    RETURN_IF_ERROR(CheckWideAndNarrow("NormaliseBackward", sums, d_o));
    RETURN_IF_ERROR(CheckWideAndNarrow("NormaliseBackward", d_sums, d_o));
    ThreadPool& pool = CpuStream::PoolOf(stream);
    d_o.dtype() == DType::kF32
        ? DivideBackward<float>(sums, epsilon, d_o, d_sums, pool)
        : DivideBackward<double>(sums, epsilon, d_o, d_sums, pool);
    return absl::OkStatus();
  }
};

}  // namespace

std::unique_ptr<FeatureMaps> CreateCpuFeatureMaps() {
  return std::make_unique<CpuFeatureMaps>();
}

}  // namespace longspan::kernels
