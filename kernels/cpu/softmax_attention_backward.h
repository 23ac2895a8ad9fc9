// Softmax attention backward, tile by tile:
//
//     P  = exp(scale * Q K^T - lse)      dP = dO V^T
//     dS = scale * P o (dP - delta)      delta_i = o_i . do_i
//     dQ += dS K     dK += dS^T Q     dV += P^T dO
//
// A call covers a rectangle of query and key blocks, queries outside, keys
// inside. Every tile is computed and added in the same way whether a call
// wants dQ, dK and dV together or separately, so the split into calls does not
// show in the bits.
#pragma once

#include "kernels/cpu/softmax_tile.h"

namespace longspan::kernels::LONGSPAN_ISA {

template <typename T>
class SoftmaxBackward {
 public:
  using Head = SoftmaxAttentionHead<T>;

  explicit SoftmaxBackward(const Head& head)
      : h_(head),
        width_(PadToVector(head.head_dim)),
        queries_transposed_(head.scratch),
        d_outputs_transposed_(queries_transposed_ + kBlock * width_),
        queries_(d_outputs_transposed_ + kBlock * width_),
        d_outputs_(queries_ + kBlock * width_),
        keys_(d_outputs_ + kBlock * width_),
        d_queries_(keys_ + kBlock * width_),
        probabilities_(d_queries_ + kBlock * width_),
        d_scores_(probabilities_ + kBlock * kBlock),
        lse_(d_scores_ + kBlock * kBlock),
        deltas_(lse_ + kBlock),
        mask_(deltas_ + kBlock) {}

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
  PanelMatrix<T> Rows(T* data) const { return {data, kBlock, width_}; }
  PanelMatrix<T> Columns(T* data) const { return {data, width_, kBlock}; }
  bool WantsKeys() const { return h_.d_k.data != nullptr; }
  bool WantsQueries() const { return h_.d_q.data != nullptr; }

  void RunBlock(int64_t block) {
    const int64_t begin = block * kBlock;
    const int64_t left = h_.query_tokens - begin;
    const int64_t count = left < kBlock ? left : kBlock;
    const VisibleRange visible = h_.block_ranges[block];
    int64_t first = visible.begin / kBlock;
    int64_t end = (visible.end + kBlock - 1) / kBlock;
    if (first < h_.key_block_begin) first = h_.key_block_begin;
    if (end > h_.key_block_end) end = h_.key_block_end;
    if (first < end) LoadQueries(begin, count);
    if (WantsQueries()) FillZero(d_queries_, kBlock * width_);
    for (int64_t key_block = first; key_block < end; ++key_block) {
      RunTile(begin, count, key_block * kBlock);
    }
    if (WantsQueries()) WriteQueries(begin, count);
  }

  void LoadQueries(int64_t begin, int64_t count) {
    const auto q = From(h_.q, begin);
    const auto d_o = From(h_.d_o, begin);
    const T* one = nullptr;
    PackTransposed(q, count, h_.head_dim, Columns(queries_transposed_));
    PackTransposed(d_o, count, h_.head_dim, Columns(d_outputs_transposed_));
    if (WantsKeys()) {
      PackPanels(q, count, h_.head_dim, one, Rows(queries_));
      PackPanels(d_o, count, h_.head_dim, one, Rows(d_outputs_));
    }
    for (int64_t i = 0; i < kBlock; ++i) {
      lse_[i] = i < count ? h_.saved_lse[begin + i] : T{0};
      deltas_[i] = i < count ? Delta(begin + i) : T{0};
    }
  }

  T Delta(int64_t query) const {
    const T* o = h_.saved_o.data + query * h_.saved_o.stride;
    const T* d_o = h_.d_o.data + query * h_.d_o.stride;
    Vec<T> sum = {};
    for (int64_t c = 0; c < h_.head_dim; c += kLanes<T>) {
      const int64_t left = h_.head_dim - c;
      sum += LoadFirst(o + c, left) * LoadFirst(d_o + c, left);
    }
    return SumLanes<T>(sum);
  }

  void RunTile(int64_t query, int64_t query_count, int64_t key) {
    const int64_t left = h_.key_tokens - key;
    const int64_t count = left < kBlock ? left : kBlock;
    mask_.Set(h_.ranges + query, query_count, key, count);
    TransposedScores(From(h_.k, key), count, Columns(queries_transposed_),
                     h_.head_dim, static_cast<T>(h_.scale), probabilities_);
    TransposedScores(From(h_.v, key), count, Columns(d_outputs_transposed_),
                     h_.head_dim, T{1}, d_scores_);
    for (int64_t j = 0; j < count; ++j) FinishRow(j);
    if (WantsQueries()) AddQueries(key, count);
    if (WantsKeys()) {
      AddKeys(probabilities_, d_outputs_, query_count, count,
              {h_.d_v.data + key * h_.d_v.stride, h_.d_v.stride});
      AddKeys(d_scores_, queries_, query_count, count,
              {h_.d_k.data + key * h_.d_k.stride, h_.d_k.stride});
    }
  }

  // Scores of key j become probabilities, dP becomes dS.
  void FinishRow(int64_t j) {
    const T scale = static_cast<T>(h_.scale);
    for (int64_t col = 0; col < kBlock; col += kLanes<T>) {
      T* p_at = probabilities_ + j * kBlock + col;
      T* d_at = d_scores_ + j * kBlock + col;
      Vec<T> p = Exp<T>(Load(p_at) - Load(lse_ + col));
      if (!mask_.full()) p = mask_.Visible(j, col) ? p : Vec<T>{};
      Store(p_at, p);
      Store(d_at, scale * (p * (Load(d_at) - Load(deltas_ + col))));
    }
  }

  void AddQueries(int64_t key, int64_t key_count) {
    PackPanels(From(h_.k, key), key_count, h_.head_dim,
               static_cast<const T*>(nullptr), Rows(keys_));
    ForEachPanel<T>(width_, [&](auto nv, int64_t col) {
      const int64_t width = Rows(keys_).Width(col);
      for (int64_t i = 0; i < kBlock; i += kTileRows) {
        Tile<T, nv.kValue> tile;
        T* sums = Rows(d_queries_).Panel(col) + i * width;
        tile.LoadScaled(sums, width, T{1});
        tile.AddColumns(d_scores_ + i, kBlock, Rows(keys_).Panel(col), width,
                        key_count);
        tile.StoreAll(sums, width);
      }
    });
  }

  // to += tile^T-rows times `rows`: the tile already has keys as its rows.
  void AddKeys(const T* tile_rows, T* rows, int64_t query_count,
               int64_t key_count, const StridedRows<T>& to) {
    const PanelMatrix<T> matrix = Rows(rows);
    ForEachPanel<T>(width_, [&](auto nv, int64_t col) {
      for (int64_t j = 0; j < key_count; j += kTileRows) {
        const T* a[kTileRows];
        Tile<T, nv.kValue> tile;
        tile.Clear();
        RowPointers(StridedRows<const T>{tile_rows, kBlock}, j, kBlock, a);
        tile.AddRows(a, matrix.Panel(col), matrix.Width(col), query_count);
        tile.StoreBlock({to.Row(j) + col, to.stride}, key_count - j,
                        h_.head_dim - col, true);
      }
    });
  }

  void WriteQueries(int64_t begin, int64_t count) {
    UnpackPanels(Rows(d_queries_),
                 {h_.d_q.data + begin * h_.d_q.stride, h_.d_q.stride}, count,
                 h_.head_dim);
  }

  const Head& h_;
  const int64_t width_;
  T* const queries_transposed_;    // (head_dim, block) panels
  T* const d_outputs_transposed_;  // (head_dim, block) panels
  T* const queries_;               // (block, head_dim) panels
  T* const d_outputs_;             // (block, head_dim) panels
  T* const keys_;                  // (block, head_dim) panels
  T* const d_queries_;             // (block, head_dim) panels
  T* const probabilities_;         // (keys, queries)
  T* const d_scores_;              // (keys, queries)
  T* const lse_;                   // per query
  T* const deltas_;                // per query
  TileMask<T> mask_;
};

template <typename T>
void SoftmaxBackwardHead(const SoftmaxAttentionHead<T>& head) {
  SoftmaxBackward<T>(head).Run();
}

}  // namespace longspan::kernels::LONGSPAN_ISA
