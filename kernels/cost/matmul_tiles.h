// How a matrix product is cut for the thread pool: a pure function of the
// shape, so that the bits do not depend on the number of threads.
#pragma once

#include <cstdint>

namespace longspan::kernels {

struct MatMulTiles {
  int64_t row_tiles = 1;
  int64_t column_tiles = 1;

  int64_t count() const { return row_tiles * column_tiles; }
};

// Tiles of c [rows, columns] with `inner` products per element. A tile is
// worth a thread's time (4 MFLOP, some 25 microseconds) and no thinner than
// 64 rows or columns; rows are cut first, since each tile packs its part of b.
MatMulTiles ChooseMatMulTiles(int64_t rows, int64_t columns, int64_t inner);

// Part `index` of [0, size) cut into `parts` as evenly as possible.
int64_t PartBegin(int64_t size, int64_t parts, int64_t index);

}  // namespace longspan::kernels
