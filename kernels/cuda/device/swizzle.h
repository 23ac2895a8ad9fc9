#pragma once

#include <cstdint>

#include "kernels/cuda/device/qualifiers.h"

// Where the 16-byte column `column16` of `row` lies in a tile in shared memory
// whose rows have `row_bytes` bytes (a multiple of 16), so that the same
// column of eight neighbouring rows that start at a multiple of 8, which is
// what ldmatrix reads at a time, lies in eight different groups of four banks.
//
// Eight rows step through the 8 groups of banks by c = row_bytes / 16, which
// visits 8 / gcd(c, 8) of them; the XOR spreads rows that meet over the
// gcd(c, 8) columns next to each other. So the bytes of a row stay in the row.

namespace longspan::kernels::cuda {

LONGSPAN_HOST_DEVICE constexpr uint32_t SwizzledOffset(uint32_t row,
                                                       uint32_t column16,
                                                       uint32_t row_bytes) {
  const uint32_t columns = row_bytes / 16;
  const uint32_t meeting = columns % 8 == 0   ? 8
                           : columns % 4 == 0 ? 4
                           : columns % 2 == 0 ? 2
                                              : 1;
  const uint32_t column = column16 ^ (row / (8 / meeting) % meeting);
  return row * row_bytes + column * 16;
}

}  // namespace longspan::kernels::cuda
