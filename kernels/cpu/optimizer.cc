#include "kernels/api/optimizer.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "common/base/status_macros.h"
#include "kernels/api/elementwise_operands.h"
#include "kernels/api/operand_check.h"
#include "kernels/cost/op_blocks.h"
#include "kernels/cost/workspace.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/cpu_stream.h"
#include "kernels/cpu/op_kernels.h"
#include "kernels/cpu/work_split.h"

namespace longspan::kernels {
namespace {

template <typename T>
AdamWFactors<T> FactorsOf(const AdamWScalars& scalars,
                          const AdamWOptions& options, double weight_decay) {
  const auto step = static_cast<double>(scalars.step.data_as<int64_t>()[0]);
  AdamWFactors<T> factors;
  factors.clip = scalars.clip_factor.data_as<float>()[0];
  factors.beta1 = static_cast<T>(options.beta1);
  factors.one_minus_beta1 = static_cast<T>(1.0 - options.beta1);
  factors.beta2 = static_cast<T>(options.beta2);
  factors.one_minus_beta2 = static_cast<T>(1.0 - options.beta2);
  factors.inverse_correction1 =
      static_cast<T>(1.0 / (1.0 - std::pow(options.beta1, step)));
  factors.inverse_correction2 =
      static_cast<T>(1.0 / (1.0 - std::pow(options.beta2, step)));
  factors.epsilon = static_cast<T>(options.epsilon);
  factors.learning_rate = scalars.learning_rate.data_as<float>()[0];
  factors.decay = static_cast<T>(weight_decay);
  return factors;
}

template <typename T>
void Update(const AdamWTensor& tensor, const AdamWFactors<T>& factors,
            ThreadPool& pool) {
  const T* gradient = tensor.gradient.data_as<T>();
  T* parameter = tensor.parameter.data_as<T>();
  T* first = tensor.first_moment.data_as<T>();
  T* second = tensor.second_moment.data_as<T>();
  const auto kernel = RowKernelsOf<T>().adamw;
  ForBlocks(pool, tensor.parameter.size(0), kItemElements,
            [&](int64_t begin, int64_t end) {
              kernel(end - begin, factors, gradient + begin, parameter + begin,
                     first + begin, second + begin);
            });
}

// Sum of squares of elements [begin, end) of all tensors laid end to end.
template <typename T>
double BlockSum(absl::Span<const ConstTensorView> tensors, int64_t begin,
                int64_t end) {
  const auto kernel = RowKernelsOf<T>().sum_of_squares;
  double sum = 0.0;
  int64_t first = 0;  // running number of the tensor's first element
  for (const ConstTensorView& tensor : tensors) {
    const int64_t from = std::max(begin, first);
    const int64_t to = std::min(end, first + tensor.element_count());
    if (from < to) sum += kernel(to - from, tensor.data_as<T>() + from - first);
    first += tensor.element_count();
  }
  return sum;
}

class CpuOptimizer : public Optimizer {
 public:
  absl::Status AdamW(absl::Span<const AdamWTensor> tensors,
                     const AdamWScalars& scalars, const AdamWOptions& options,
                     Stream& stream) override {
    RETURN_IF_ERROR(CheckAdamW(tensors, scalars));
    if (std::isnan(scalars.clip_factor.data_as<float>()[0])) {
      return absl::OkStatus();
    }
    ThreadPool& pool = CpuStream::PoolOf(stream);
    for (const AdamWTensor& tensor : tensors) {
      const double decay = tensor.weight_decay;
      if (tensor.parameter.dtype() == DType::kF32) {
        Update(tensor, FactorsOf<float>(scalars, options, decay), pool);
      } else {
        Update(tensor, FactorsOf<double>(scalars, options, decay), pool);
      }
    }
    return absl::OkStatus();
  }

  absl::Status SumOfSquares(absl::Span<const ConstTensorView> tensors,
                            TensorView out, TensorView workspace,
                            Stream& stream) override {
    RETURN_IF_ERROR(CheckSumOfSquares(tensors, out));
    int64_t total = 0;
    for (const ConstTensorView& tensor : tensors) {
      total += tensor.element_count();
    }
    OperandCheck check("SumOfSquares");
    const int64_t bytes =
        SumOfSquaresWorkspaceBytes(total, BackendKind::kCpu, 1);
    RETURN_IF_ERROR(check.Workspace(workspace, bytes).status());
    auto* sums = static_cast<double*>(workspace.data());
    const bool f32 = total > 0 && tensors[0].dtype() == DType::kF32;
    const auto block_sum = f32 ? BlockSum<float> : BlockSum<double>;
    ForBlocks(CpuStream::PoolOf(stream), total, kSquareBlock,
              [&](int64_t begin, int64_t end) {
                sums[begin / kSquareBlock] = block_sum(tensors, begin, end);
              });
    const int64_t blocks = (total + kSquareBlock - 1) / kSquareBlock;
    double sum = 0.0;
    for (int64_t i = 0; i < blocks; ++i) sum += sums[i];
    out.data_as<double>()[0] = sum;
    return absl::OkStatus();
  }

  absl::Status ClipFactor(ConstTensorView sum_of_squares, double max_norm,
                          TensorView factor, Stream&) override {
    RETURN_IF_ERROR(CheckClipFactor(sum_of_squares, max_norm, factor));
    const double norm = std::sqrt(sum_of_squares.data_as<double>()[0]);
    float& out = factor.data_as<float>()[0];
    out = std::isfinite(norm) ? 1.0f : std::nanf("");
    if (max_norm > 0.0 && norm > max_norm && std::isfinite(norm)) {
      out = static_cast<float>(max_norm / norm);
    }
    return absl::OkStatus();
  }
};

}  // namespace

std::unique_ptr<Optimizer> CreateCpuOptimizer() {
  return std::make_unique<CpuOptimizer>();
}

}  // namespace longspan::kernels
