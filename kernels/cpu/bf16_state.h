// A state [rows, cols] in f32, padded to blocks of 32 x 32 sums (bf16_tile.h),
// and its numbers rounded to bf16 as operands of products.
#pragma once

#include "kernels/cpu/bf16_pack.h"
#include "kernels/cpu/linear_attention_kernels.h"

namespace longspan::kernels::LONGSPAN_ISA {

// Two rows of the upper or lower half of a block begin here; the right half
// follows kSumTile later.
LONGSPAN_INLINE int64_t BlockRow(int64_t row) {
  return row / kTileLines * 2 * kSumTile + row % kTileLines * kTileLines;
}

class BlockedState {
 public:
  // `data` holds rows * cols numbers, both multiples of 32.
  BlockedState(float* data, int64_t rows, int64_t cols)
      : data_(data), rows_(rows), cols_(cols) {}

  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  int64_t size() const { return rows_ * cols_; }
  float* data() const { return data_; }

  float* Block(int64_t row_block, int64_t col_block) const {
    return data_ + (row_block * (cols_ / kBlockLines) + col_block) * kBlockSums;
  }

  // From and to rows in memory, [rows, cols] of them in use.
  void Load(const OperandRows<float>& from, int64_t rows, int64_t cols) const {
    ForEach([&](int64_t r, int64_t c, float& x) {
      x = r < rows && c < cols ? from.data[r * from.stride + c] : 0.0f;
    });
  }
  void LoadTransposed(const OperandRows<float>& from, int64_t rows,
                      int64_t cols) const {
    ForEach([&](int64_t r, int64_t c, float& x) {
      x = r < rows && c < cols ? from.data[c * from.stride + r] : 0.0f;
    });
  }
  void Store(const ResultRows<float>& to, int64_t rows, int64_t cols) const {
    ForEach([&](int64_t r, int64_t c, const float& x) {
      if (r < rows && c < cols) to.data[r * to.stride + c] = x;
    });
  }
  void Copy(const BlockedState& from) const {
    for (int64_t i = 0; i < size(); i += kWide) {
      StoreLanes(data_ + i, LoadLanes(from.data_ + i));
    }
  }

  // B = the state, packed: lines are columns.
  void WritePairs(BFloat16* to) const {
    ForEachBlock([&](int64_t r, int64_t c) {
      for (int64_t i = 0; i < kBlockLines; i += 2) {
        for (int64_t half = 0; half < 2; ++half) {
          const float* row = Block(r, c) + BlockRow(i) + half * kSumTile;
          StorePairs(LoadLanes(row), LoadLanes(row + kTileLines),
                     PairsTile(to, r, 2 * c + half) + i * kTileLines);
        }
      }
    });
  }

  // B = the state transposed, packed: lines are rows. Tile by tile through
  // tiles of A.
  void WriteFlipped(BFloat16* to) const {
    ForEachBlock([&](int64_t r, int64_t c) { WriteFlipped(r, c, to); });
  }
  void WriteFlipped(int64_t row_block, int64_t col_block, BFloat16* to) const {
    const float* block = Block(row_block, col_block);
    const int64_t depth_tiles = cols_ / kTileDepth;
    BFloat16 rows[kTileNumbers];
    for (int64_t half = 0; half < 2; ++half) {
      for (int64_t i = 0; i < kTileLines; ++i) {
        const float* row = block + BlockRow(half * kTileLines + i);
        StoreBf16(LoadLanes(row), LoadLanes(row + kSumTile),
                  rows + i * kTileDepth, kTileDepth);
      }
      FlipTile(rows, kTileDepth,
               to + ((2 * row_block + half) * depth_tiles + col_block) *
                        kTileNumbers);
    }
  }

  // The block of the state <- total * it + sums; `total` null leaves it out.
  // The result goes to the tiles of WritePairs, too, unless they are null.
  void AddTo(int64_t row_block, int64_t col_block, const float* total,
             const float* sums, BFloat16* pairs) const {
    const Lanes factor = SplatLanes(total == nullptr ? 0.0f : *total);
    for (int64_t half = 0; half < 2; ++half) {
      float* block = Block(row_block, col_block) + half * kSumTile;
      BFloat16* tile = pairs == nullptr
                           ? nullptr
                           : PairsTile(pairs, row_block, 2 * col_block + half);
      for (int64_t i = 0; i < kBlockLines; i += 2) {
        const int64_t at = BlockRow(i);
        const float* from = sums + half * kSumTile + at;
        Lanes even = LoadLanes(from);
        Lanes odd = LoadLanes(from + kTileLines);
        if (total != nullptr) {
          even = MultiplyAdd(factor, LoadLanes(block + at), even);
          odd = MultiplyAdd(factor, LoadLanes(block + at + kTileLines), odd);
        }
        StoreLanes(block + at, even);
        StoreLanes(block + at + kTileLines, odd);
        if (tile != nullptr) StorePairs(even, odd, tile + i * kTileLines);
      }
    }
  }

  template <typename Fn>
  void ForEachBlock(const Fn& fn) const {
    for (int64_t r = 0; r < rows_ / kBlockLines; ++r) {
      for (int64_t c = 0; c < cols_ / kBlockLines; ++c) fn(r, c);
    }
  }

 private:
  BFloat16* PairsTile(BFloat16* pairs, int64_t row_block, int64_t panel) const {
    return pairs + (panel * (rows_ / kTileDepth) + row_block) * kTileNumbers;
  }

  template <typename Fn>
  void ForEach(const Fn& fn) const {
    ForEachBlock([&](int64_t row_block, int64_t col_block) {
      float* block = Block(row_block, col_block);
      for (int64_t i = 0; i < kBlockLines; ++i) {
        for (int64_t j = 0; j < kBlockLines; ++j) {
          fn(row_block * kBlockLines + i, col_block * kBlockLines + j,
             block[BlockRow(i) + j / kTileLines * kSumTile + j % kTileLines]);
        }
      }
    });
  }

  float* const data_;
  const int64_t rows_;
  const int64_t cols_;
};

}  // namespace longspan::kernels::LONGSPAN_ISA
