// The last step of parameter gradients: partial rows, one per block of a
// kernel, are added to the gradient in order.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "kernels/api/stream.h"

namespace longspan::kernels::cuda {

// sums[c] += sum over r of partial_rows[r, c]; partial_rows [rows, columns]
// f32, contiguous. Rows r % kCudaSumSlices are added first, then the slices.
absl::Status AddColumnSums(const char* op, const float* partial_rows,
                           int64_t rows, int64_t columns, float* sums,
                           Stream& stream);

}  // namespace longspan::kernels::cuda
