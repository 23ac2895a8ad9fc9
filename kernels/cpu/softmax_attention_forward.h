// Softmax attention forward for blocks of queries: one walk over the visible
// blocks of keys with a running maximum and sum per query. Several blocks of
// queries take the walk together, so that a block of values is fetched and
// packed once for all of them.
#pragma once

#include "kernels/cpu/softmax_tile.h"

namespace longspan::kernels::LONGSPAN_ISA {

template <typename T>
class SoftmaxForward {
 public:
  using Head = SoftmaxAttentionHead<T>;

  explicit SoftmaxForward(const Head& head)
      : h_(head),
        width_(PadToVector(head.head_dim)),
        values_(head.scratch),
        scores_(values_ + kBlock * width_),
        corrections_(scores_ + kBlock * kBlock),
        mask_(corrections_ + kBlock),
        blocks_(corrections_ + 3 * kBlock) {}

  void Run() {
    for (int64_t block = h_.query_block_begin; block < h_.query_block_end;
         block += kQueryBlocks) {
      const int64_t left = h_.query_block_end - block;
      RunBlocks(block, left < kQueryBlocks ? left : kQueryBlocks);
    }
  }

 private:
  // A block of queries on its walk.
  struct Queries {
    int64_t begin = 0;
    int64_t count = 0;
    BlockRange keys;          // blocks of them that any query sees
    T* transposed = nullptr;  // (head_dim, block) panels
    T* sums = nullptr;        // (block, head_dim) panels: sum of p v
    T* maxima = nullptr;      // per query
    T* totals = nullptr;      // per query: sum of p
  };

  static StridedRows<const T> From(const typename Head::Operand& operand,
                                   int64_t token) {
    return {operand.data + token * operand.stride, operand.stride};
  }
  PanelMatrix<T> Transposed(const Queries& queries) const {
    return {queries.transposed, width_, kBlock};
  }
  PanelMatrix<T> Values() const { return {values_, kBlock, width_}; }
  PanelMatrix<T> Sums(const Queries& queries) const {
    return {queries.sums, kBlock, width_};
  }

  void RunBlocks(int64_t first, int64_t blocks) {
    BlockRange keys;
    for (int64_t i = 0; i < blocks; ++i) {
      Begin(first + i, i);
      keys = Union(keys, queries_[i].keys);
    }
    for (int64_t key_block = keys.begin; key_block < keys.end; ++key_block) {
      AddKeys(key_block, blocks);
    }
    for (int64_t i = 0; i < blocks; ++i) Write(queries_[i]);
  }

  void Begin(int64_t block, int64_t slot) {
    Queries& queries = queries_[slot];
    Place(slot, queries);
    queries.begin = block * kBlock;
    const int64_t left = h_.query_tokens - queries.begin;
    queries.count = left < kBlock ? left : kBlock;
    queries.keys = BlocksOf(h_.block_ranges[block]);
    PackTransposed(From(h_.q, queries.begin), queries.count, h_.head_dim,
                   Transposed(queries));
    FillZero(queries.sums, kBlock * width_);
    for (int64_t i = 0; i < kBlock; ++i) {
      queries.maxima[i] = -__builtin_inf();
      queries.totals[i] = T{0};
    }
  }

  void Place(int64_t slot, Queries& queries) const {
    const int64_t matrix = kBlock * width_;
    T* at = blocks_ + slot * (2 * matrix + 2 * kBlock);
    queries.transposed = at;
    queries.sums = at + matrix;
    queries.maxima = at + 2 * matrix;
    queries.totals = queries.maxima + kBlock;
  }

  void AddKeys(int64_t key_block, int64_t blocks) {
    const int64_t key = key_block * kBlock;
    const int64_t left = h_.key_tokens - key;
    const int64_t count = left < kBlock ? left : kBlock;
    PackPanels(From(h_.v, key), count, h_.head_dim,
               static_cast<const T*>(nullptr), Values());
    for (int64_t i = 0; i < blocks; ++i) {
      if (queries_[i].keys.Holds(key_block)) AddTile(queries_[i], key, count);
    }
  }

  void AddTile(const Queries& queries, int64_t key, int64_t count) {
    mask_.Set(h_.ranges + queries.begin, queries.count, key, count);
    TransposedScores(From(h_.k, key), count, Transposed(queries), h_.head_dim,
                     static_cast<T>(h_.scale), scores_);
    for (int64_t col = 0; col < kBlock; col += kLanes<T>) {
      Exponentiate(count, col, queries);
    }
    AddValues(count, queries);
  }

  // Scores become exp(score - maximum), and maximum and sum move on.
  void Exponentiate(int64_t count, int64_t col, const Queries& queries) {
    const bool full = mask_.full();
    const Vec<T> lowest = Splat(static_cast<T>(-__builtin_inf()));
    const Vec<T> before = Load(queries.maxima + col);
    Vec<T> maximum = before;
    for (int64_t j = 0; j < count; ++j) {
      T* at = scores_ + j * kBlock + col;
      Vec<T> score = Load(at);
      if (!full) {
        score = mask_.Visible(j, col) ? score : lowest;
        Store(at, score);
      }
      maximum = score > maximum ? score : maximum;
    }
    // A query that has seen nothing yet would compute inf - inf.
    const Vec<T> base = maximum == lowest ? Vec<T>{} : maximum;
    Vec<T> total = {};
    for (int64_t j = 0; j < count; ++j) {
      T* at = scores_ + j * kBlock + col;
      const Vec<T> p = Exp<T>(Load(at) - base);
      Store(at, p);
      total += p;
    }
    const Vec<T> correction = Exp<T>(before - base);
    Store(corrections_ + col, correction);
    Store(queries.totals + col,
          Load(queries.totals + col) * correction + total);
    Store(queries.maxima + col, maximum);
  }

  // sums = corrections o sums + P V
  void AddValues(int64_t count, const Queries& queries) {
    ForEachPanel<T>(width_, [&](auto nv, int64_t col) {
      for (int64_t i = 0; i < kBlock; i += kTileRows) {
        Tile<T, nv.kValue> tile;
        T* sums = Sums(queries).Panel(col) + i * tile.kPanelStride;
        tile.LoadScaled(sums, tile.kPanelStride, T{1});
        tile.ScaleRows(corrections_ + i);
        tile.AddColumns(scores_ + i, IntConstant<kBlock>{}, Values().Panel(col),
                        tile.kPanelStride, count);
        tile.StoreAll(sums, tile.kPanelStride);
      }
    });
  }

  void Write(const Queries& queries) const {
    const PanelMatrix<T> sums = Sums(queries);
    for (int64_t i = 0; i < queries.count; ++i) {
      const T total = queries.totals[i];
      const bool empty = total == T{0};
      h_.lse[queries.begin + i] =
          empty ? static_cast<T>(-__builtin_inf())
                : static_cast<T>(queries.maxima[i] +
                                 __builtin_log(static_cast<double>(total)));
      const T factor = empty ? T{0} : T{1} / total;
      T* to = h_.o.data + (queries.begin + i) * h_.o.stride;
      for (int64_t col = 0; col < h_.head_dim; col += kLanes<T>) {
        const Vec<T> sum = Load(sums.Column(col) + i * sums.RowStride(col));
        StoreFirst(to + col, factor * sum, h_.head_dim - col);
      }
    }
  }

  const Head& h_;
  const int64_t width_;
  T* const values_;       // (block, head_dim) panels
  T* const scores_;       // (keys, queries)
  T* const corrections_;  // per query: exp(old maximum - new)
  TileMask<T> mask_;
  T* const blocks_;  // what queries_ point at
  Queries queries_[kQueryBlocks];
};

template <typename T>
void SoftmaxForwardHead(const SoftmaxAttentionHead<T>& head) {
  SoftmaxForward<T>(head).Run();
}

}  // namespace longspan::kernels::LONGSPAN_ISA
