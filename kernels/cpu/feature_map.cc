#include "kernels/api/feature_map.h"

#include <algorithm>
#include <memory>

#include "common/base/status_macros.h"
#include "kernels/api/feature_map_operands.h"
#include "kernels/cost/workspace.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/cpu_stream.h"
#include "kernels/cpu/feature_map_kernels.h"
#include "kernels/cpu/row_sums.h"
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
const FeatureMapRowKernels<T>& RowsOfMaps() {
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
  const FeatureMapRowKernels<T>& kernels = RowsOfMaps<T>();
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

// The parameters' places in a run's sums: weight, bias and the second pair
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

// Adds the sums to the gradients, which lie in the same order.
template <typename T>
void AddSums(const RowSums<T>& sums, const FeatureMapGradients& d) {
  int64_t first = 0;
  for (const TensorView& gradient :
       {d.d_weight, d.d_bias, d.d_second_weight, d.d_second_bias}) {
    if (gradient.is_null()) continue;
    sums.AddTo(first, gradient);
    first += gradient.element_count();
  }
}

template <typename T>
void MapHeadsBackward(const FeatureMapInputs& inputs, ConstTensorView d_y,
                      const FeatureMapGradients& d, TensorView workspace,
                      ThreadPool& pool) {
  const FeatureMapRowKernels<T>& kernels = RowsOfMaps<T>();
  const RowSums<T> sums(d_y.size(0) * d_y.size(1),
                        FeatureMapParameterCount(inputs), workspace);
  sums.Sum(pool, [&](int64_t begin, int64_t end, T* parameters) {
    FeatureMapRows<T> rows = RowsOf<T>(inputs, d_y.size(2));
    const T* d_out[kMaxFeatureLanes] = {};
    T* d_in[kMaxFeatureLanes] = {};
    for (int64_t row = begin; row < end; row += kernels.lanes) {
      rows.count =
          static_cast<int>(std::min<int64_t>(kernels.lanes, end - row));
      for (int lane = 0; lane < rows.count; ++lane) {
        rows.x[lane] = HeadAt<T>(inputs.x, row + lane);
        d_out[lane] = HeadAt<T>(d_y, row + lane);
        d_in[lane] = HeadAt<T>(d.d_x, row + lane);
      }
      kernels.map_backward(rows, d_out, d_in, SumsAt(inputs, parameters));
    }
  });
  AddSums(sums, d);
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
      MapHeadsBackward<float>(inputs, d_y, gradients, workspace, pool);
    } else {
      MapHeadsBackward<double>(inputs, d_y, gradients, workspace, pool);
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
