// Softmax attention forward for blocks of queries: one walk over the visible
// blocks of keys with a running maximum and sum per query.
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
        queries_(head.scratch),
        values_(queries_ + kBlock * width_),
        sums_(values_ + kBlock * width_),
        scores_(sums_ + kBlock * width_),
        maxima_(scores_ + kBlock * kBlock),
        totals_(maxima_ + kBlock),
        corrections_(totals_ + kBlock),
        mask_(corrections_ + kBlock) {}

  void Run() {
    for (int64_t block = h_.query_block_begin; block < h_.query_block_end;
         ++block) {
      RunBlock(block);
    }
  }

 private:
  static StridedRows<const T> From(const typename Head::Operand& operand,
                                   int64_t token) {
    return {operand.data + token * operand.stride, operand.stride};
  }
  PanelMatrix<T> Queries() const { return {queries_, width_, kBlock}; }
  PanelMatrix<T> Values() const { return {values_, kBlock, width_}; }
  PanelMatrix<T> Sums() const { return {sums_, kBlock, width_}; }

  void RunBlock(int64_t block) {
    const int64_t begin = block * kBlock;
    const int64_t left = h_.query_tokens - begin;
    const int64_t count = left < kBlock ? left : kBlock;
    const VisibleRange visible = h_.block_ranges[block];
    PackTransposed(From(h_.q, begin), count, h_.head_dim, Queries());
    FillZero(sums_, kBlock * width_);
    for (int64_t i = 0; i < kBlock; ++i) {
      maxima_[i] = -__builtin_inf();
      totals_[i] = T{0};
    }
    for (int64_t key = visible.begin / kBlock * kBlock; key < visible.end;
         key += kBlock) {
      AddKeys(begin, count, key);
    }
    WriteBlock(begin, count);
  }

  void AddKeys(int64_t query, int64_t query_count, int64_t key) {
    const int64_t left = h_.key_tokens - key;
    const int64_t count = left < kBlock ? left : kBlock;
    mask_.Set(h_.ranges + query, query_count, key, count);
    TransposedScores(From(h_.k, key), count, Queries(), h_.head_dim,
                     static_cast<T>(h_.scale), scores_);
    for (int64_t col = 0; col < kBlock; col += kLanes<T>) {
      Exponentiate(count, col);
    }
    PackPanels(From(h_.v, key), count, h_.head_dim,
               static_cast<const T*>(nullptr), Values());
    AddValues(count);
  }

  // Scores become exp(score - maximum), and maximum and sum move on.
  void Exponentiate(int64_t count, int64_t col) {
    const bool full = mask_.full();
    const Vec<T> lowest = Splat(static_cast<T>(-__builtin_inf()));
    const Vec<T> before = Load(maxima_ + col);
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
    Store(totals_ + col, Load(totals_ + col) * correction + total);
    Store(maxima_ + col, maximum);
  }

  // sums = corrections o sums + P V
  void AddValues(int64_t count) {
    ForEachPanel<T>(width_, [&](auto nv, int64_t col) {
      for (int64_t i = 0; i < kBlock; i += kTileRows) {
        Tile<T, nv.kValue> tile;
        T* sums = Sums().Panel(col) + i * tile.kPanelStride;
        tile.LoadScaled(sums, tile.kPanelStride, T{1});
        tile.ScaleRows(corrections_ + i);
        tile.AddColumns(scores_ + i, IntConstant<kBlock>{}, Values().Panel(col),
                        tile.kPanelStride, count);
        tile.StoreAll(sums, tile.kPanelStride);
      }
    });
  }

  void WriteBlock(int64_t begin, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      const bool empty = totals_[i] == T{0};
      h_.lse[begin + i] =
          empty
              ? static_cast<T>(-__builtin_inf())
              : static_cast<T>(maxima_[i] +
                               __builtin_log(static_cast<double>(totals_[i])));
      const T factor = empty ? T{0} : T{1} / totals_[i];
      T* to = h_.o.data + (begin + i) * h_.o.stride;
      for (int64_t col = 0; col < h_.head_dim; col += kLanes<T>) {
        const int64_t panel = col / kPanelLanes<T> * kPanelLanes<T>;
        const Vec<T> sum =
            Load(Sums().Panel(panel) + i * Sums().Width(panel) + (col - panel));
        StoreFirst(to + col, factor * sum, h_.head_dim - col);
      }
    }
  }

  const Head& h_;
  const int64_t width_;
  T* const queries_;      // (head_dim, block) panels
  T* const values_;       // (block, head_dim) panels
  T* const sums_;         // (block, head_dim) panels: sum of p v
  T* const scores_;       // (keys, queries)
  T* const maxima_;       // per query
  T* const totals_;       // per query: sum of p
  T* const corrections_;  // per query: exp(old maximum - new)
  TileMask<T> mask_;
};

template <typename T>
void SoftmaxForwardHead(const SoftmaxAttentionHead<T>& head) {
  SoftmaxForward<T>(head).Run();
}

}  // namespace longspan::kernels::LONGSPAN_ISA
