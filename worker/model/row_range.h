// A block of rows (common/model_spec/row_block.h): tokens of this rank,
// batch-major, on which row-by-row work is done at one time.
#pragma once

#include <cstdint>

#include "kernels/api/tensor_view.h"

namespace longspan::worker {

// [B, n, ...] contiguous as rows [M, everything else].
inline kernels::TensorView AsRows(const kernels::TensorView& x) {
  int64_t columns = 1;  // known for n = 0, too
  for (int i = 2; i < x.rank(); ++i) columns *= x.size(i);
  return x.Reshape({x.size(0) * x.size(1), columns});
}

struct RowRange {
  int64_t begin = 0;
  int64_t end = 0;

  int64_t size() const { return end - begin; }

  // These rows of a view [M, ...].
  template <typename View>
  View Of(const View& view) const {
    return view.is_null() ? view : view.Slice(0, begin, end);
  }
};

}  // namespace longspan::worker
