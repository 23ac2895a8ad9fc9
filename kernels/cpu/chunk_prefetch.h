// Asks for the rows of the next chunk and head while the current ones are at
// work.
//
// One head's rows lie far apart, where the processor does not see a pattern, so
// they are requested here: a few cache lines every kSlab steps of the
// products, evenly over the chunk, so that requests never pile up.
#pragma once

#include "kernels/cpu/simd.h"

namespace longspan::kernels::LONGSPAN_ISA {

class ChunkPrefetch {
 public:
  // Forgets what was left of the last chunk.
  void Begin() {
    count_ = 0;
    current_ = 0;
    lines_ = 0;
  }

  // Rows of `row_bytes` bytes, `stride` bytes apart.
  void AddRows(const void* rows, int64_t stride, int64_t row_bytes,
               int64_t row_count) {
    if (row_count <= 0) return;
    operands_[count_++] = {static_cast<const char*>(rows), stride, row_bytes,
                           row_count};
    lines_ += row_count * (row_bytes / kLine);
  }

  // Requests will be spread evenly over this many steps.
  void SetSteps(int64_t steps) {
    lines_per_step_ = lines_ / steps + 1;
    column_ = 0;
  }

  LONGSPAN_INLINE void Step() {
    if (current_ == count_) return;
    Operand& operand = operands_[current_];
    for (int64_t i = 0; i < lines_per_step_; ++i) {
      __builtin_prefetch(operand.row + column_, 0, 2);
      column_ += kLine;
      if (column_ < operand.row_bytes) continue;
      column_ = 0;
      operand.row += operand.stride;
      if (--operand.row_count > 0) continue;
      ++current_;
      return;
    }
  }

 private:
  static constexpr int64_t kLine = 64;
  struct Operand {
    const char* row;
    int64_t stride;
    int64_t row_bytes;
    int64_t row_count;
  };

  Operand operands_[10];
  int count_ = 0;
  int current_ = 0;
  int64_t lines_ = 0;
  int64_t column_ = 0;
  int64_t lines_per_step_ = 0;
};

}  // namespace longspan::kernels::LONGSPAN_ISA
