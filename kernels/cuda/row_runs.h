// The index space of row-wise ops: views of equal shape with contiguous last
// dimension, cut into packs of kPackElements that one thread owns each.
//
// Outer dimensions that are evenly strided in every view are merged, so that
// contiguous operands are one row and a slice of a fused projection is two
// dimensional, whatever the rank of the views.
#pragma once

#include <cstdint>

#include "kernels/cuda/element_pack.h"

namespace longspan::kernels::cuda {

inline constexpr int kOuterDims = 4;  // kMaxRank - 1

// Where one operand lies. Strides count elements.
struct RowOperand {
  const void* data = nullptr;
  int64_t stride[kOuterDims] = {};
};

struct RowSpace {
  int64_t size[kOuterDims] = {};  // of the outer dimensions, slowest first
  int rank = 0;                   // of the outer dimensions
  int64_t inner = 0;              // elements of a row
  int64_t packs_per_row = 0;
  int64_t packs = 0;
  bool wide = false;  // all packs that are full allow vector access
};

// A pack's place: its outer indices and the first of its elements in the row.
struct PackPlace {
  int64_t outer[kOuterDims];
  int64_t column;
};

LONGSPAN_DEVICE PackPlace PlaceOf(const RowSpace& space, int64_t pack) {
  PackPlace place;
  int64_t row = 0;
  if (space.rank > 0) {
    row = pack / space.packs_per_row;
    pack -= row * space.packs_per_row;
  }
  place.column = pack * kPackElements;
  LONGSPAN_UNROLL
  for (int dim = kOuterDims - 1; dim > 0; --dim) {
    place.outer[dim] = 0;
    if (dim < space.rank) {
      const int64_t above = row / space.size[dim];
      place.outer[dim] = row - above * space.size[dim];
      row = above;
    }
  }
  place.outer[0] = row;
  return place;
}

LONGSPAN_DEVICE int64_t OffsetOf(const RowSpace& space,
                                 const RowOperand& operand,
                                 const PackPlace& place) {
  int64_t offset = place.column + place.outer[0] * operand.stride[0];
  if (space.rank > 1) {
    LONGSPAN_UNROLL
    for (int dim = 1; dim < kOuterDims; ++dim) {
      offset += place.outer[dim] * operand.stride[dim];
    }
  }
  return offset;
}

}  // namespace longspan::kernels::cuda
