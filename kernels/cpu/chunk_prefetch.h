// Asks for the next chunk's rows while the current one is at work.
//
// One head's rows lie far apart, where the processor does not see a pattern,
// but the rows of all heads together are contiguous: they are requested line
// after line, a few per register tile, so that requests never pile up.
#pragma once

#include "kernels/cpu/simd.h"

namespace longspan::kernels::LONGSPAN_ISA {

class ChunkPrefetch {
 public:
  // Forgets what was left of the last chunk.
  void Begin() {
    count_ = 0;
    current_ = 0;
  }

  // Rows of `row_bytes` bytes, `stride` bytes apart.
  void AddRows(const void* rows, int64_t stride, int64_t row_bytes,
               int64_t row_count) {
    if (row_count <= 0) return;
    operands_[count_++] = {static_cast<const char*>(rows), stride, row_bytes,
                           row_count};
  }

  // Requests will be spread evenly over this many steps.
  void SetSteps(int64_t steps) {
    int64_t lines = 0;
    for (int i = 0; i < count_; ++i) {
      lines += operands_[i].row_count * (operands_[i].row_bytes / kLine + 1);
    }
    lines_per_step_ = lines / steps + 1;
    column_ = 0;
  }

  LONGSPAN_INLINE void Step() {
    if (current_ == count_) return;
    Operand& operand = operands_[current_];
    const char* next = operand.row + column_;
    for (int64_t i = 0; i < lines_per_step_; ++i) {
      __builtin_prefetch(next + i * kLine, 0, 2);
    }
    column_ += lines_per_step_ * kLine;
    if (column_ < operand.row_bytes) return;
    column_ = 0;
    operand.row += operand.stride;
    if (--operand.row_count == 0) ++current_;
  }

 private:
  static constexpr int64_t kLine = 64;
  struct Operand {
    const char* row;
    int64_t stride;
    int64_t row_bytes;
    int64_t row_count;
  };

  Operand operands_[8];
  int count_ = 0;
  int current_ = 0;
  int64_t column_ = 0;
  int64_t lines_per_step_ = 0;
};

}  // namespace longspan::kernels::LONGSPAN_ISA
