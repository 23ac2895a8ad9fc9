// A block of rows (common/model_spec/row_block.h): tokens of this rank,
// batch-major, on which row-by-row work is done at one time.
#pragma once

#include <cstdint>

namespace longspan::worker {

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
