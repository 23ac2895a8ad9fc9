#include "kernels/cost/cuda_op_plan.h"
#include "kernels/cuda/column_sum.h"
#include "kernels/cuda/op_launch.h"

namespace longspan::kernels::cuda {
namespace {

struct ColumnSumParams {
  const float* partial_rows;
  int64_t rows;
  int64_t columns;
  float* sums;
};

LONGSPAN_KERNEL(kCudaThreads, 2) ColumnSumKernel(const ColumnSumParams p) {
  const int column_in_block = ThreadIndex() % kCudaSumColumns;
  const int slice = ThreadIndex() / kCudaSumColumns;
  const int64_t column = BlockIndex() * kCudaSumColumns + column_in_block;
  auto* shared = reinterpret_cast<float*>(SharedMemory());
  float sum = 0.0f;
  if (column < p.columns) {
    for (int64_t row = slice; row < p.rows; row += kCudaSumSlices) {
      sum += p.partial_rows[row * p.columns + column];
    }
  }
  shared[ThreadIndex()] = sum;
  SyncBlock();
  if (slice != 0 || column >= p.columns) return;
  float total = 0.0f;
  LONGSPAN_UNROLL
  for (int s = 0; s < kCudaSumSlices; ++s) {
    total += shared[s * kCudaSumColumns + column_in_block];
  }
  p.sums[column] += total;
}

}  // namespace

absl::Status AddColumnSums(const char* op, const float* partial_rows,
                           int64_t rows, int64_t columns, float* sums,
                           Stream& stream) {
  const ColumnSumParams params = {partial_rows, rows, columns, sums};
  const int64_t blocks = (columns + kCudaSumColumns - 1) / kCudaSumColumns;
  return Launch(op, ColumnSumKernel,
                {blocks, kCudaThreads, kCudaThreads * sizeof(float)}, stream,
                params);
}

}  // namespace longspan::kernels::cuda
