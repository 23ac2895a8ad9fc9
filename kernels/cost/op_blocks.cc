#include "kernels/cost/op_blocks.h"

#include <algorithm>

#include "common/base/divide.h"
#include "kernels/cost/cuda_op_plan.h"
#include "kernels/cost/workspace.h"

namespace longspan::kernels {
namespace {

constexpr int64_t kSlabBytes = 1 << 20;
constexpr int64_t kMaxSlabRows = 512;
constexpr int64_t kMinSlabRows = 32;

int64_t RoundUpTo64(int64_t bytes) { return RoundUp(bytes, 64); }

}  // namespace

int64_t CrossEntropySlabRows(int64_t rows, int64_t vocabulary,
                             int64_t element_bytes) {
  const int64_t fitting =
      kSlabBytes / std::max<int64_t>(1, vocabulary * element_bytes);
  const int64_t slab = std::clamp(fitting, kMinSlabRows, kMaxSlabRows);
  return std::max<int64_t>(1, std::min(rows, slab));
}

int64_t RowSumBlocks(int64_t rows) {
  return std::clamp<int64_t>(CeilDiv(rows, 64), 1, 64);
}

int64_t RowSumBytes(int64_t rows, int64_t numbers, int64_t element_bytes) {
  return RoundUpTo64(RowSumBlocks(rows) * numbers *
                     (static_cast<int64_t>(sizeof(double)) + element_bytes));
}

int64_t CrossEntropyWorkspaceBytes(int64_t rows, int64_t hidden_size,
                                   int64_t vocabulary, int64_t element_bytes,
                                   BackendKind backend, int threads) {
  (void)hidden_size;
  (void)threads;
  if (backend == BackendKind::kReference) return 0;
  if (backend == BackendKind::kCuda) {
    const int64_t rows_at_once = CudaCrossEntropySlabRows(rows, vocabulary);
    return RoundUpTo64(rows_at_once * CudaLogitStride(vocabulary) *
                       static_cast<int64_t>(sizeof(float))) +
           RoundUpTo64(rows_at_once * static_cast<int64_t>(sizeof(double)));
  }
  const int64_t slab = CrossEntropySlabRows(rows, vocabulary, element_bytes);
  return RoundUpTo64(slab * vocabulary * element_bytes) +
         RoundUpTo64(slab * static_cast<int64_t>(sizeof(double)));
}

int64_t RmsNormBackwardWorkspaceBytes(int64_t rows, int64_t size,
                                      int64_t element_bytes,
                                      BackendKind backend, int threads) {
  (void)threads;
  if (backend == BackendKind::kReference) return 0;
  if (backend == BackendKind::kCuda) {
    return RoundUpTo64(PlanCudaNormBackward(rows, size).blocks * size *
                       static_cast<int64_t>(sizeof(float)));
  }
  return RowSumBytes(rows, size, element_bytes);
}

int64_t ShortConvolutionBackwardWorkspaceBytes(
    int64_t batch, int64_t tokens, int64_t channels, int64_t channel_parameters,
    int64_t element_bytes, BackendKind backend, int threads) {
  (void)threads;
  if (backend == BackendKind::kReference) return 0;
  if (backend == BackendKind::kCuda) {
    const CudaConvolutionPlan plan =
        PlanCudaConvolution(batch, tokens, channels, channel_parameters);
    return RoundUpTo64(batch * plan.runs * channels * channel_parameters *
                       static_cast<int64_t>(sizeof(float)));
  }
  return RoundUpTo64(batch * RowSumBlocks(tokens) * channels *
                     channel_parameters * element_bytes);
}

int64_t FeatureMapBackwardWorkspaceBytes(int64_t rows, int64_t parameters,
                                         int64_t element_bytes,
                                         BackendKind backend) {
  if (backend != BackendKind::kCpu) return 0;
  return RowSumBytes(rows, parameters, element_bytes);
}

int64_t SumOfSquaresWorkspaceBytes(int64_t total_elements, BackendKind backend,
                                   int threads) {
  (void)threads;
  if (backend == BackendKind::kReference) return 0;
  const int64_t block =
      backend == BackendKind::kCuda ? kCudaSquareBlock : kSquareBlock;
  const int64_t blocks = CeilDiv(total_elements, block);
  return RoundUpTo64(blocks * static_cast<int64_t>(sizeof(double)));
}

}  // namespace longspan::kernels
