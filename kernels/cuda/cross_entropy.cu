#include <algorithm>

#include "common/base/status_macros.h"
#include "kernels/api/dense_operands.h"
#include "kernels/api/operand_check.h"
#include "kernels/cost/cuda_op_plan.h"
#include "kernels/cost/workspace.h"
#include "kernels/cuda/cross_entropy.h"
#include "kernels/cuda/element_pack.h"
#include "kernels/cuda/op_launch.h"
#include "kernels/cuda/sigmoid.h"
#include "kernels/cuda/team_sum.h"

namespace longspan::kernels::cuda {
namespace {

struct LossRowParams {
  float* logits;  // [rows, vocabulary], 16-byte aligned rows
  int64_t stride;
  int64_t rows;
  int64_t vocabulary;
  const int32_t* targets;
  const float* token_weights;  // may be null
  const float* grad_scale;     // null: no gradients
  float* nll;                  // may be null
  double* losses;              // by row of the slab
};

struct LossSumParams {
  const double* losses;
  int64_t rows;
  double* loss;
  bool accumulate;
};

// Below every logit, and finite, so that differences are never NaN.
constexpr float kLowest = -3.0e38f;

// A running log-sum-exp: sum of exp(x - top).
struct LogSum {
  float top = kLowest;
  float sum = 0.0f;

  LONGSPAN_DEVICE void Raise(float other) {
    const float higher = fmaxf(top, other);
    sum *= Exp2((top - higher) * kLog2E);
    top = higher;
  }
};

LONGSPAN_DEVICE LogSum SumOfThread(const float* logits, int64_t vocabulary) {
  LogSum result;
  for (int64_t at = ThreadIndex() * kPackElements; at < vocabulary;
       at += kCudaThreads * kPackElements) {
    const Pack pack = LoadPack(logits + at, vocabulary - at, true);
    float top = kLowest;
    LONGSPAN_UNROLL
    for (int i = 0; i < kPackElements; ++i) {
      if (at + i < vocabulary) top = fmaxf(top, pack.v[i]);
    }
    result.Raise(top);
    LONGSPAN_UNROLL
    for (int i = 0; i < kPackElements; ++i) {
      if (at + i < vocabulary) {
        result.sum += Exp2((pack.v[i] - result.top) * kLog2E);
      }
    }
  }
  return result;
}

// The sum over the whole row, in all threads.
LONGSPAN_DEVICE LogSum SumOfRow(const float* logits, int64_t vocabulary,
                                float* shared) {
  LogSum result = SumOfThread(logits, vocabulary);
  const float warp_top = WarpMax(result.top);
  float* tops = shared + kTeamSumFloats;
  if (LaneIndex() == 0) tops[WarpIndex()] = warp_top;
  SyncBlock();
  float top = tops[0];
  LONGSPAN_UNROLL
  for (int warp = 1; warp < kCudaThreads / kWarpThreads; ++warp) {
    top = fmaxf(top, tops[warp]);
  }
  result.Raise(top);
  result.sum = TeamSum(result.sum, kCudaThreads, shared, 0);
  return result;
}

// Overwrites the row's logits with their gradients of type T, which start
// where the row does. What a round of threads writes lies below what the next
// one reads; within a round, all read before any writes.
template <typename T>
LONGSPAN_DEVICE void StoreGradients(float* logits, int64_t vocabulary,
                                    int64_t target, float scale,
                                    const LogSum& sum) {
  T* to = reinterpret_cast<T*>(logits);
  const float factor = scale / sum.sum;
  for (int64_t first = 0; first < vocabulary;
       first += kCudaThreads * kPackElements) {
    const int64_t at = first + ThreadIndex() * kPackElements;
    Pack pack = LoadPack(logits + at, vocabulary - at, true);
    LONGSPAN_UNROLL
    for (int i = 0; i < kPackElements; ++i) {
      pack.v[i] =
          target < 0 ? 0.0f : factor * Exp2((pack.v[i] - sum.top) * kLog2E);
      if (at + i == target) pack.v[i] -= scale;
    }
    SyncBlock();
    StorePack(pack, to + at, vocabulary - at, true);
  }
}

template <typename T>
LONGSPAN_KERNEL(kCudaThreads, 2)
LossRowKernel(const LossRowParams p) {
  const int64_t row = BlockIndex();
  float* logits = p.logits + row * p.stride;
  const int32_t given = p.targets[row];
  // A target outside the vocabulary is not scored either.
  const int64_t target = given >= 0 && given < p.vocabulary ? given : -1;
  const float weight = p.token_weights == nullptr ? 1.0f : p.token_weights[row];
  const float hit = target < 0 ? 0.0f : logits[target];
  const LogSum sum =
      SumOfRow(logits, p.vocabulary, reinterpret_cast<float*>(SharedMemory()));
  if (ThreadIndex() == 0) {
    const float nll = target < 0 ? 0.0f : logf(sum.sum) + (sum.top - hit);
    if (p.nll != nullptr) p.nll[row] = nll;
    p.losses[row] =
        target < 0 ? 0.0
                   : static_cast<double>(weight) * static_cast<double>(nll);
  }
  if (p.grad_scale == nullptr) return;
  StoreGradients<T>(logits, p.vocabulary, target, weight * *p.grad_scale, sum);
}

LONGSPAN_KERNEL(kCudaThreads, 1) LossSumKernel(const LossSumParams p) {
  double sum = 0.0;
  for (int64_t row = ThreadIndex(); row < p.rows; row += kCudaThreads) {
    sum += p.losses[row];
  }
  auto* shared = reinterpret_cast<double*>(SharedMemory());
  sum = TeamSum(sum, kCudaThreads, shared, 0);
  if (ThreadIndex() == 0) *p.loss = p.accumulate ? *p.loss + sum : sum;
}

// Rows [begin, end) of the op, and where their logits lie.
struct Slab {
  int64_t begin;
  int64_t end;
  float* logits;
  int64_t stride;
  double* losses;
};

absl::Status RunLosses(const CrossEntropyInputs& inputs,
                       const CrossEntropyOutputs& outputs,
                       const CrossEntropyGradients* gradients, const Slab& slab,
                       Stream& stream) {
  LossRowParams params = {};
  params.logits = slab.logits;
  params.stride = slab.stride;
  params.rows = slab.end - slab.begin;
  params.vocabulary = inputs.weight.size(0);
  params.targets = inputs.targets.data_as<int32_t>() + slab.begin;
  params.losses = slab.losses;
  if (!inputs.token_weights.is_null()) {
    params.token_weights = inputs.token_weights.data_as<float>() + slab.begin;
  }
  if (!outputs.nll.is_null()) {
    params.nll = outputs.nll.data_as<float>() + slab.begin;
  }
  if (gradients != nullptr) {
    params.grad_scale = gradients->grad_scale.data_as<float>();
  }
  constexpr int kSharedFloats = kTeamSumFloats + kCudaThreads / kWarpThreads;
  const LaunchShape shape = {params.rows, kCudaThreads,
                             kSharedFloats * sizeof(float)};
  RETURN_IF_ERROR(
      inputs.hidden.dtype() == DType::kBF16
          ? Launch("CrossEntropy", LossRowKernel<Bf16>, shape, stream, params)
          : Launch("CrossEntropy", LossRowKernel<float>, shape, stream,
                   params));
  const LossSumParams sums = {slab.losses, params.rows,
                              outputs.loss.data_as<double>(), slab.begin > 0};
  return Launch("CrossEntropy", LossSumKernel,
                {1, kCudaThreads, kTeamSumFloats * sizeof(double)}, stream,
                sums);
}

// The slab's rows as a matrix of `type`, over the same memory.
TensorView SlabView(const Slab& slab, DType type, int64_t vocabulary) {
  const int64_t per_float =
      static_cast<int64_t>(sizeof(float)) / BytesPerElement(type);
  return TensorView(slab.logits, type,
                    {slab.end - slab.begin, slab.stride * per_float})
      .Slice(1, 0, vocabulary);
}

}  // namespace

absl::Status CudaCrossEntropy::Run(const CrossEntropyInputs& inputs,
                                   const CrossEntropyOutputs& outputs,
                                   const CrossEntropyGradients* gradients,
                                   TensorView workspace, Stream& stream) {
  RETURN_IF_ERROR(CheckCrossEntropy(inputs, outputs, gradients, kCudaOperands));
  const DType type = inputs.hidden.dtype();
  const int64_t rows = inputs.hidden.size(0);
  const int64_t vocabulary = inputs.weight.size(0);
  OperandCheck check("CrossEntropy", kCudaOperands);
  const int64_t bytes =
      CrossEntropyWorkspaceBytes(rows, inputs.hidden.size(1), vocabulary,
                                 BytesPerElement(type), BackendKind::kCuda, 1);
  RETURN_IF_ERROR(check.Workspace(workspace, bytes).status());
  const int64_t slab_rows = CudaCrossEntropySlabRows(rows, vocabulary);
  Slab slab = {};
  slab.stride = CudaLogitStride(vocabulary);
  slab.logits = static_cast<float*>(workspace.data());
  slab.losses =
      reinterpret_cast<double*>(slab.logits + slab_rows * slab.stride);
  if (rows == 0) {  // no slab that would set the loss
    return Launch(
        "CrossEntropy", LossSumKernel,
        {1, kCudaThreads, kTeamSumFloats * sizeof(double)}, stream,
        LossSumParams{slab.losses, 0, outputs.loss.data_as<double>(), false});
  }
  for (slab.begin = 0; slab.begin < rows; slab.begin = slab.end) {
    slab.end = std::min(rows, slab.begin + slab_rows);
    const ConstTensorView hidden = inputs.hidden.Slice(0, slab.begin, slab.end);
    RETURN_IF_ERROR(gemm_.Run(hidden, inputs.weight,
                              SlabView(slab, DType::kF32, vocabulary),
                              {.transpose_b = true}, stream));
    RETURN_IF_ERROR(RunLosses(inputs, outputs, gradients, slab, stream));
    if (gradients == nullptr) continue;
    const ConstTensorView d_logits = SlabView(slab, type, vocabulary);
    RETURN_IF_ERROR(gemm_.Run(
        d_logits, inputs.weight,
        gradients->d_hidden.Slice(0, slab.begin, slab.end), {}, stream));
    RETURN_IF_ERROR(gemm_.Run(d_logits, hidden, gradients->d_weight,
                              {.transpose_a = true, .accumulate = true},
                              stream));
  }
  return absl::OkStatus();
}

absl::Status CudaCrossEntropy::Forward(const CrossEntropyInputs& inputs,
                                       const CrossEntropyOutputs& outputs,
                                       TensorView workspace, Stream& stream) {
  return Run(inputs, outputs, nullptr, workspace, stream);
}

absl::Status CudaCrossEntropy::ForwardBackward(
    const CrossEntropyInputs& inputs, const CrossEntropyOutputs& outputs,
    const CrossEntropyGradients& gradients, TensorView workspace,
    Stream& stream) {
  return Run(inputs, outputs, &gradients, workspace, stream);
}

}  // namespace longspan::kernels::cuda
