#include <algorithm>

#include "common/base/status_macros.h"
#include "kernels/api/elementwise_operands.h"
#include "kernels/api/operand_check.h"
#include "kernels/cost/cuda_op_plan.h"
#include "kernels/cost/workspace.h"
#include "kernels/cuda/element_pack.h"
#include "kernels/cuda/op_launch.h"
#include "kernels/cuda/optimizer.h"
#include "kernels/cuda/row_views.h"
#include "kernels/cuda/team_sum.h"

namespace longspan::kernels::cuda {
namespace {

// Kernel parameters may take 4096 bytes.
constexpr int kAdamWTensors = 48;
constexpr int kSquareTensors = 120;

struct AdamWEntry {
  float* parameter;
  const float* gradient;
  float* first_moment;
  float* second_moment;
  Bf16* compute_parameter;  // may be null
  int64_t count;
  int64_t first_block;
  float weight_decay;
  bool wide;
};

struct AdamWParams {
  AdamWEntry tensors[kAdamWTensors];
  int tensor_count;
  const float* learning_rate;
  const float* clip_factor;
  const int64_t* step;
  double beta1;
  double beta2;
  float epsilon;
};
static_assert(sizeof(AdamWParams) <= 4096);

struct AdamWFactors {
  float clip;
  float rate;
  float inverse_correction1;
  float inverse_correction2;
};

// base^exponent by squaring, exponent >= 0.
LONGSPAN_DEVICE double Power(double base, int64_t exponent) {
  double result = 1.0;
  for (; exponent > 0; exponent >>= 1) {
    if ((exponent & 1) != 0) result *= base;
    base *= base;
  }
  return result;
}

// One thread reads the scalars and takes the powers, for the whole block.
LONGSPAN_DEVICE AdamWFactors LoadFactors(const AdamWParams& p) {
  auto* shared = reinterpret_cast<AdamWFactors*>(SharedMemory());
  if (ThreadIndex() == 0) {
    shared->clip = *p.clip_factor;
    shared->rate = *p.learning_rate;
    shared->inverse_correction1 =
        static_cast<float>(1.0 / (1.0 - Power(p.beta1, *p.step)));
    shared->inverse_correction2 =
        static_cast<float>(1.0 / (1.0 - Power(p.beta2, *p.step)));
  }
  SyncBlock();
  return *shared;
}

LONGSPAN_DEVICE int EntryOfBlock(const AdamWParams& p, int64_t block) {
  int low = 0;
  int high = p.tensor_count - 1;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (p.tensors[middle].first_block <= block) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

LONGSPAN_KERNEL(kCudaThreads, 2) AdamWKernel(const AdamWParams p) {
  const AdamWFactors factors = LoadFactors(p);
  // A step that is skipped.
  if (factors.clip != factors.clip) return;
  const AdamWEntry& entry = p.tensors[EntryOfBlock(p, BlockIndex())];
  const auto beta1 = static_cast<float>(p.beta1);
  const auto beta2 = static_cast<float>(p.beta2);
  const auto rest1 = static_cast<float>(1.0 - p.beta1);
  const auto rest2 = static_cast<float>(1.0 - p.beta2);
  const int64_t begin = (BlockIndex() - entry.first_block) * kCudaAdamWBlock;
  int64_t end = begin + kCudaAdamWBlock;
  if (end > entry.count) end = entry.count;
  for (int64_t at = begin + ThreadIndex() * kPackElements; at < end;
       at += kCudaThreads * kPackElements) {
    const int64_t count = end - at;
    const Pack gradient = LoadPack(entry.gradient + at, count, entry.wide);
    Pack m = LoadPack(entry.first_moment + at, count, entry.wide);
    Pack v = LoadPack(entry.second_moment + at, count, entry.wide);
    Pack parameter = LoadPack(entry.parameter + at, count, entry.wide);
    LONGSPAN_UNROLL
    for (int i = 0; i < kPackElements; ++i) {
      const float g = factors.clip * gradient.v[i];
      m.v[i] = beta1 * m.v[i] + rest1 * g;
      v.v[i] = beta2 * v.v[i] + rest2 * g * g;
      const float m_hat = m.v[i] * factors.inverse_correction1;
      const float v_hat = v.v[i] * factors.inverse_correction2;
      parameter.v[i] -= factors.rate * (m_hat / (sqrtf(v_hat) + p.epsilon) +
                                        entry.weight_decay * parameter.v[i]);
    }
    StorePack(m, entry.first_moment + at, count, entry.wide);
    StorePack(v, entry.second_moment + at, count, entry.wide);
    StorePack(parameter, entry.parameter + at, count, entry.wide);
    if (entry.compute_parameter != nullptr) {
      StorePack(parameter, entry.compute_parameter + at, count, entry.wide);
    }
  }
}

// Elements [first, first + count) of all tensors laid end to end.
struct SquareEntry {
  const float* data;
  int64_t first;
  int64_t count;
};

struct SquareParams {
  SquareEntry tensors[kSquareTensors];
  int tensor_count;
  int64_t first_block;
  double* sums;  // by block of kCudaSquareBlock elements
};
static_assert(sizeof(SquareParams) <= 4096);

// A block whose elements began in an earlier launch adds to that one's sum.
LONGSPAN_KERNEL(kCudaThreads, 2) SquareKernel(const SquareParams p) {
  const int64_t block = p.first_block + BlockIndex();
  const int64_t block_begin = block * kCudaSquareBlock;
  const int64_t block_end = block_begin + kCudaSquareBlock;
  double sum = 0.0;
  for (int t = 0; t < p.tensor_count; ++t) {
    const SquareEntry& entry = p.tensors[t];
    const int64_t begin = block_begin > entry.first ? block_begin : entry.first;
    int64_t end = entry.first + entry.count;
    if (end > block_end) end = block_end;
    const float* data = entry.data + (begin - entry.first);
    const int64_t count = end - begin;
    const bool wide = reinterpret_cast<uint64_t>(data) % 16 == 0;
    for (int64_t at = ThreadIndex() * kPackElements; at < count;
         at += kCudaThreads * kPackElements) {
      const Pack pack = LoadPack(data + at, count - at, wide);
      float squares = 0.0f;
      LONGSPAN_UNROLL
      for (int i = 0; i < kPackElements; ++i) squares += pack.v[i] * pack.v[i];
      sum += static_cast<double>(squares);
    }
  }
  auto* shared = reinterpret_cast<double*>(SharedMemory());
  sum = TeamSum(sum, kCudaThreads, shared, 0);
  if (ThreadIndex() != 0) return;
  const bool began_here = block_begin >= p.tensors[0].first;
  p.sums[block] = began_here ? sum : p.sums[block] + sum;
}

struct TotalParams {
  const double* sums;
  int64_t count;
  double* out;
};

LONGSPAN_KERNEL(kCudaThreads, 1) TotalKernel(const TotalParams p) {
  double sum = 0.0;
  for (int64_t i = ThreadIndex(); i < p.count; i += kCudaThreads) {
    sum += p.sums[i];
  }
  auto* shared = reinterpret_cast<double*>(SharedMemory());
  sum = TeamSum(sum, kCudaThreads, shared, 0);
  if (ThreadIndex() == 0) *p.out = sum;
}

struct ClipParams {
  const double* sum_of_squares;
  double max_norm;
  float* factor;
};

LONGSPAN_KERNEL(32, 1) ClipKernel(const ClipParams p) {
  if (ThreadIndex() != 0) return;
  const double norm = sqrt(*p.sum_of_squares);
  double factor = 1.0;
  if (!(norm - norm == 0.0)) {  // not finite
    factor = norm - norm;
  } else if (p.max_norm > 0.0 && norm > p.max_norm) {
    factor = p.max_norm / norm;
  }
  *p.factor = static_cast<float>(factor);
}

AdamWEntry EntryOf(const AdamWTensor& tensor, int64_t first_block) {
  AdamWEntry entry = {};
  entry.parameter = tensor.parameter.data_as<float>();
  entry.gradient = tensor.gradient.data_as<float>();
  entry.first_moment = tensor.first_moment.data_as<float>();
  entry.second_moment = tensor.second_moment.data_as<float>();
  entry.compute_parameter = static_cast<Bf16*>(tensor.compute_parameter.data());
  entry.count = tensor.parameter.size(0);
  entry.first_block = first_block;
  entry.weight_decay = static_cast<float>(tensor.weight_decay);
  entry.wide = AllowsVectors(tensor.parameter) &&
               AllowsVectors(tensor.gradient) &&
               AllowsVectors(tensor.first_moment) &&
               AllowsVectors(tensor.second_moment) &&
               AllowsVectors(tensor.compute_parameter);
  return entry;
}

// Fills the launches of a multi-tensor kernel: Add() starts the launch that is
// full before it takes the next tensor.
class SquareLauncher {
 public:
  SquareLauncher(double* sums, Stream& stream) : stream_(stream) {
    params_.sums = sums;
  }

  absl::Status Add(ConstTensorView tensor) {
    const int64_t count = tensor.element_count();
    if (count == 0) return absl::OkStatus();
    if (params_.tensor_count == kSquareTensors) RETURN_IF_ERROR(Flush());
    params_.tensors[params_.tensor_count++] = {tensor.data_as<float>(), end_,
                                               count};
    end_ += count;
    return absl::OkStatus();
  }

  absl::Status Flush() {
    if (params_.tensor_count == 0) return absl::OkStatus();
    params_.first_block = params_.tensors[0].first / kCudaSquareBlock;
    const int64_t blocks =
        (end_ - 1) / kCudaSquareBlock + 1 - params_.first_block;
    RETURN_IF_ERROR(
        Launch("SumOfSquares", SquareKernel,
               {blocks, kCudaThreads, kTeamSumFloats * sizeof(double)}, stream_,
               params_));
    params_.tensor_count = 0;
    return absl::OkStatus();
  }

 private:
  Stream& stream_;
  SquareParams params_ = {};
  int64_t end_ = 0;
};

absl::Status LaunchAdamW(AdamWParams* params, int64_t blocks, Stream& stream) {
  RETURN_IF_ERROR(Launch("AdamW", AdamWKernel,
                         {blocks, kCudaThreads, sizeof(AdamWFactors)}, stream,
                         *params));
  params->tensor_count = 0;
  return absl::OkStatus();
}

}  // namespace

absl::Status CudaOptimizer::AdamW(absl::Span<const AdamWTensor> tensors,
                                  const AdamWScalars& scalars,
                                  const AdamWOptions& options, Stream& stream) {
  RETURN_IF_ERROR(CheckAdamW(tensors, scalars, kCudaOperands));
  AdamWParams params = {};
  params.learning_rate = scalars.learning_rate.data_as<float>();
  params.clip_factor = scalars.clip_factor.data_as<float>();
  params.step = scalars.step.data_as<int64_t>();
  params.beta1 = options.beta1;
  params.beta2 = options.beta2;
  params.epsilon = static_cast<float>(options.epsilon);
  int64_t blocks = 0;
  for (const AdamWTensor& tensor : tensors) {
    if (tensor.parameter.size(0) == 0) continue;
    if (params.tensor_count == kAdamWTensors) {
      RETURN_IF_ERROR(LaunchAdamW(&params, blocks, stream));
      blocks = 0;
    }
    params.tensors[params.tensor_count++] = EntryOf(tensor, blocks);
    blocks += (tensor.parameter.size(0) - 1) / kCudaAdamWBlock + 1;
  }
  if (params.tensor_count == 0) return absl::OkStatus();
  return LaunchAdamW(&params, blocks, stream);
}

absl::Status CudaOptimizer::SumOfSquares(
    absl::Span<const ConstTensorView> tensors, TensorView out,
    TensorView workspace, Stream& stream) {
  RETURN_IF_ERROR(CheckSumOfSquares(tensors, out, kCudaOperands));
  int64_t total = 0;
  for (const ConstTensorView& tensor : tensors) total += tensor.element_count();
  OperandCheck check("SumOfSquares", kCudaOperands);
  const int64_t bytes =
      SumOfSquaresWorkspaceBytes(total, BackendKind::kCuda, 1);
  RETURN_IF_ERROR(check.Workspace(workspace, bytes).status());
  auto* sums = static_cast<double*>(workspace.data());
  SquareLauncher launcher(sums, stream);
  for (const ConstTensorView& tensor : tensors) {
    RETURN_IF_ERROR(launcher.Add(tensor));
  }
  RETURN_IF_ERROR(launcher.Flush());
  const TotalParams params = {sums,
                              (total + kCudaSquareBlock - 1) / kCudaSquareBlock,
                              out.data_as<double>()};
  return Launch("SumOfSquares", TotalKernel,
                {1, kCudaThreads, kTeamSumFloats * sizeof(double)}, stream,
                params);
}

absl::Status CudaOptimizer::ClipFactor(ConstTensorView sum_of_squares,
                                       double max_norm, TensorView factor,
                                       Stream& stream) {
  RETURN_IF_ERROR(
      CheckClipFactor(sum_of_squares, max_norm, factor, kCudaOperands));
  const ClipParams params = {sum_of_squares.data_as<double>(), max_norm,
                             factor.data_as<float>()};
  return Launch("ClipFactor", ClipKernel, {1, 32, 0}, stream, params);
}

}  // namespace longspan::kernels::cuda
