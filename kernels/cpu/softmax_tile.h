// A tile of scores, kept transposed: row j is a key, column i a query. So a
// vector holds one key's scores for several queries, maxima and sums over keys
// need no shuffles, and the keys are read as rows without packing.
#pragma once

#include "kernels/cost/softmax_attention_plan.h"
#include "kernels/cpu/chunk_pack.h"
#include "kernels/cpu/softmax_attention_kernels.h"

namespace longspan::kernels::LONGSPAN_ISA {

inline constexpr int64_t kBlock = kAttentionBlock;
inline constexpr int64_t kQueryBlocks = kAttentionQueryBlocks;

// A range of blocks of keys.
struct BlockRange {
  int64_t begin = 0;
  int64_t end = 0;

  bool empty() const { return begin >= end; }
  bool Holds(int64_t block) const { return begin <= block && block < end; }
};

inline BlockRange BlocksOf(const VisibleRange& keys) {
  return {keys.begin / kBlock, (keys.end + kBlock - 1) / kBlock};
}

inline BlockRange Cut(const BlockRange& range, int64_t begin, int64_t end) {
  return {range.begin > begin ? range.begin : begin,
          range.end < end ? range.end : end};
}

// The least range that holds both.
inline BlockRange Union(const BlockRange& a, const BlockRange& b) {
  if (a.empty()) return b;
  if (b.empty()) return a;
  return {a.begin < b.begin ? a.begin : b.begin, a.end > b.end ? a.end : b.end};
}

// to[j][i] = factor * sum_c keys(j, c) queries(c, i); rows of `to` are kBlock
// apart. `queries` is packed transposed.
template <typename T>
void TransposedScores(const StridedRows<const T>& keys, int64_t key_count,
                      const PanelMatrix<T>& queries, int64_t depth, T factor,
                      T* to) {
  T factors[kTileRows];
  for (T& f : factors) f = factor;
  for (int64_t j = 0; j < key_count; j += kTileRows) {
    const T* rows[kTileRows];
    RowPointers(keys, j, key_count, rows);
    ForEachPanel<T>(queries.cols, [&](auto nv, int64_t col) {
      Tile<T, nv.kValue> tile;
      tile.Clear();
      tile.AddRows(rows, queries.Panel(col), tile.kPanelStride, depth);
      tile.ScaleRows(factors);
      tile.StoreAll(to + j * kBlock + col, kBlock);
    });
  }
}

// Which keys of a tile each query of a block sees.
template <typename T>
class TileMask {
 public:
  // `bounds` holds 2 * kBlock elements.
  explicit TileMask(T* bounds) : begin_(bounds), end_(bounds + kBlock) {}

  void Set(const VisibleRange* ranges, int64_t queries, int64_t key_begin,
           int64_t key_count) {
    full_ = true;
    for (int64_t i = 0; i < kBlock; ++i) {
      const VisibleRange range = i < queries ? ranges[i] : VisibleRange{};
      const int64_t begin = Clamp(range.begin - key_begin);
      const int64_t end = Clamp(range.end - key_begin);
      begin_[i] = static_cast<T>(begin);
      end_[i] = static_cast<T>(end);
      if (i < queries && (begin > 0 || end < key_count)) full_ = false;
    }
  }

  bool full() const { return full_; }

  // Lanes: queries col .. col + kLanes; all ones where key j is visible.
  LONGSPAN_INLINE IntVec<T> Visible(int64_t j, int64_t col) const {
    const Vec<T> key = Splat(static_cast<T>(j));
    return (Load(begin_ + col) <= key) & (key < Load(end_ + col));
  }

 private:
  static int64_t Clamp(int64_t position) {
    if (position < 0) return 0;
    return position > kBlock ? kBlock : position;
  }

  T* begin_;
  T* end_;
  bool full_ = false;
};

}  // namespace longspan::kernels::LONGSPAN_ISA
