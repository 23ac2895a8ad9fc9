// Softmax attention backward, tile by tile:
//
//     P  = exp(scale * Q K^T - lse)      dP = dO V^T
//     dS = scale * P o (dP - delta)      delta_i = o_i . do_i
//     dQ += dS K     dK += dS^T Q     dV += P^T dO
//
// A call covers a rectangle of query and key blocks, queries outside, keys
// inside. Several blocks of queries take a walk over the keys together, so that
// a block of keys, values and their gradients is fetched once for all of them.
// Every tile is computed and added in the same way whether a call wants dQ, dK
// and dV together or separately, so the split into calls does not show in the
// bits.
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
        keys_(head.scratch),
        probabilities_(keys_ + kBlock * width_),
        d_scores_(probabilities_ + kBlock * kBlock),
        mask_(d_scores_ + kBlock * kBlock),
        blocks_(d_scores_ + kBlock * kBlock + 2 * kBlock) {}

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
    BlockRange keys;              // blocks of them that the walk meets
    T* transposed = nullptr;      // Q, (head_dim, block) panels
    T* d_o_transposed = nullptr;  // (head_dim, block) panels
    T* rows = nullptr;            // Q, (block, head_dim) panels
    T* d_o = nullptr;             // (block, head_dim) panels
    T* d_q = nullptr;             // (block, head_dim) panels
    T* lse = nullptr;             // per query
    T* deltas = nullptr;          // per query
  };

  static StridedRows<const T> From(const typename Head::Operand& operand,
                                   int64_t token) {
    return {operand.data + token * operand.stride, operand.stride};
  }
  PanelMatrix<T> Rows(T* data) const { return {data, kBlock, width_}; }
  PanelMatrix<T> Columns(T* data) const { return {data, width_, kBlock}; }
  bool WantsKeys() const { return h_.d_k.data != nullptr; }
  bool WantsQueries() const { return h_.d_q.data != nullptr; }

  void RunBlocks(int64_t first, int64_t blocks) {
    BlockRange keys;
    for (int64_t i = 0; i < blocks; ++i) {
      Begin(first + i, i);
      keys = Union(keys, queries_[i].keys);
    }
    for (int64_t key_block = keys.begin; key_block < keys.end; ++key_block) {
      RunTiles(key_block, blocks);
    }
    for (int64_t i = 0; i < blocks && WantsQueries(); ++i) {
      WriteQueries(queries_[i]);
    }
  }

  void Begin(int64_t block, int64_t slot) {
    Queries& queries = queries_[slot];
    Place(slot, queries);
    queries.begin = block * kBlock;
    const int64_t left = h_.query_tokens - queries.begin;
    queries.count = left < kBlock ? left : kBlock;
    queries.keys = Cut(BlocksOf(h_.block_ranges[block]), h_.key_block_begin,
                       h_.key_block_end);
    if (!queries.keys.empty()) LoadQueries(queries);
    if (WantsQueries()) FillZero(queries.d_q, kBlock * width_);
  }

  void Place(int64_t slot, Queries& queries) const {
    const int64_t matrix = kBlock * width_;
    T* at = blocks_ + slot * (5 * matrix + 2 * kBlock);
    queries.transposed = at;
    queries.d_o_transposed = at + matrix;
    queries.rows = at + 2 * matrix;
    queries.d_o = at + 3 * matrix;
    queries.d_q = at + 4 * matrix;
    queries.lse = at + 5 * matrix;
    queries.deltas = queries.lse + kBlock;
  }

  void LoadQueries(const Queries& queries) const {
    const int64_t count = queries.count;
    const auto q = From(h_.q, queries.begin);
    const auto d_o = From(h_.d_o, queries.begin);
    const T* one = nullptr;
    PackTransposed(q, count, h_.head_dim, Columns(queries.transposed));
    PackTransposed(d_o, count, h_.head_dim, Columns(queries.d_o_transposed));
    if (WantsKeys()) {
      PackPanels(q, count, h_.head_dim, one, Rows(queries.rows));
      PackPanels(d_o, count, h_.head_dim, one, Rows(queries.d_o));
    }
    for (int64_t i = 0; i < kBlock; ++i) {
      const int64_t query = queries.begin + i;
      queries.lse[i] = i < count ? h_.saved_lse[query] : T{0};
      queries.deltas[i] = i < count ? Delta(query) : T{0};
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

  void RunTiles(int64_t key_block, int64_t blocks) {
    const int64_t key = key_block * kBlock;
    const int64_t left = h_.key_tokens - key;
    const int64_t count = left < kBlock ? left : kBlock;
    if (WantsQueries()) {
      PackPanels(From(h_.k, key), count, h_.head_dim,
                 static_cast<const T*>(nullptr), Rows(keys_));
    }
    for (int64_t i = 0; i < blocks; ++i) {
      if (queries_[i].keys.Holds(key_block)) RunTile(queries_[i], key, count);
    }
  }

  void RunTile(const Queries& queries, int64_t key, int64_t count) {
    mask_.Set(h_.ranges + queries.begin, queries.count, key, count);
    TransposedScores(From(h_.k, key), count, Columns(queries.transposed),
                     h_.head_dim, static_cast<T>(h_.scale), probabilities_);
    TransposedScores(From(h_.v, key), count, Columns(queries.d_o_transposed),
                     h_.head_dim, T{1}, d_scores_);
    for (int64_t j = 0; j < count; ++j) FinishRow(queries, j);
    if (WantsQueries()) AddQueries(queries, count);
    if (WantsKeys()) {
      AddKeys(probabilities_, queries.d_o, queries.count, count,
              {h_.d_v.data + key * h_.d_v.stride, h_.d_v.stride});
      AddKeys(d_scores_, queries.rows, queries.count, count,
              {h_.d_k.data + key * h_.d_k.stride, h_.d_k.stride});
    }
  }

  // Scores of key j become probabilities, dP becomes dS.
  void FinishRow(const Queries& queries, int64_t j) {
    const T scale = static_cast<T>(h_.scale);
    for (int64_t col = 0; col < kBlock; col += kLanes<T>) {
      T* p_at = probabilities_ + j * kBlock + col;
      T* d_at = d_scores_ + j * kBlock + col;
      Vec<T> p = Exp<T>(Load(p_at) - Load(queries.lse + col));
      if (!mask_.full()) p = mask_.Visible(j, col) ? p : Vec<T>{};
      Store(p_at, p);
      Store(d_at, scale * (p * (Load(d_at) - Load(queries.deltas + col))));
    }
  }

  void AddQueries(const Queries& queries, int64_t key_count) {
    ForEachPanel<T>(width_, [&](auto nv, int64_t col) {
      const int64_t width = Rows(keys_).Width(col);
      for (int64_t i = 0; i < kBlock; i += kTileRows) {
        Tile<T, nv.kValue> tile;
        T* sums = Rows(queries.d_q).Panel(col) + i * width;
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

  void WriteQueries(const Queries& queries) const {
    T* to = h_.d_q.data + queries.begin * h_.d_q.stride;
    UnpackPanels(Rows(queries.d_q), {to, h_.d_q.stride}, queries.count,
                 h_.head_dim);
  }

  const Head& h_;
  const int64_t width_;
  T* const keys_;           // (block, head_dim) panels
  T* const probabilities_;  // (keys, queries)
  T* const d_scores_;       // (keys, queries)
  TileMask<T> mask_;
  T* const blocks_;  // what queries_ point at
  Queries queries_[kQueryBlocks];
};

template <typename T>
void SoftmaxBackwardHead(const SoftmaxAttentionHead<T>& head) {
  SoftmaxBackward<T>(head).Run();
}

}  // namespace longspan::kernels::LONGSPAN_ISA
