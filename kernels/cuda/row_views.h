// Views as the row space of kernels/cuda/row_runs.h. Host code.
#pragma once

#include <initializer_list>
#include <vector>

#include "kernels/api/tensor_view.h"
#include "kernels/cuda/row_runs.h"

namespace longspan::kernels::cuda {

// Up to this many views share a row space.
inline constexpr int kMaxRowOperands = 5;

struct RowViews {
  RowSpace space;
  RowOperand operands[kMaxRowOperands];
};

// `views` have equal shapes and contiguous rows; types may differ.
RowViews RowViewsOf(std::initializer_list<ConstTensorView> views);

// Whether vector access of 16 bytes is allowed at `view`'s data and at every
// multiple of its outer strides.
bool AllowsVectors(ConstTensorView view);

}  // namespace longspan::kernels::cuda
