// Scores of a chunk whose decay is per channel, strip by strip:
//
//     P_ij = sum_c q_ic k_jc prod_{j < s <= i} exp(g_sc)        (j <= i)
//
// Against earlier strips both sides are anchored at the strip's start, so that
// a product of matrices is left: (q o from) and k decayed up to that start,
// which is kept transposed and decayed by one strip more as the strips advance.
// Inside a strip the product of gates is carried from row to row.
#pragma once

#include "kernels/cpu/chunk_gates.h"
#include "kernels/cpu/chunk_pack.h"

namespace longspan::kernels::LONGSPAN_ISA {

// The rows of a chunk's strip: [first, last).
struct Strip {
  Strip(int64_t index, int64_t chunk_size)
      : index(index),
        first(index * kStrip),
        last(first + kStrip < chunk_size ? first + kStrip : chunk_size) {}

  static int64_t CountOf(int64_t chunk_size) {
    return (chunk_size + kStrip - 1) / kStrip;
  }

  const int64_t index;
  const int64_t first;
  const int64_t last;
};

// Rows of a strip into panels.
template <typename T>
void CopyRowsToPanels(const StridedRows<const T>& from, const Strip& strip,
                      const PanelMatrix<T>& to) {
  for (int64_t col = 0; col < to.cols; col += kPanelLanes<T>) {
    const int64_t width = to.Width(col);
    for (int64_t i = strip.first; i < strip.last; ++i) {
      T* row = to.Panel(col) + i * width;
      for (int64_t lane = 0; lane < width; lane += kLanes<T>) {
        Store(row + lane, Load(from.Row(i) + col + lane));
      }
    }
  }
}

// One vector of sums for each pair of a strip, row-major; sums of pairs j > i
// stay zero.
template <typename T>
struct StripSums {
  Vec<T> pairs[kStrip * kStrip] = {};

  // Writes factor * (sum of lanes) to the square at `to`, rows kChunk apart.
  void Write(T factor, T* to) const {
    for (int64_t i = 0; i < kStrip; ++i) {
      for (int64_t j = 0; j < kStrip; j += kLanes<T>) {
        Vec<T> block[kLanes<T>];
        for (int lane = 0; lane < kLanes<T>; ++lane) {
          block[lane] = pairs[i * kStrip + j + lane];
        }
        Transpose<T>(block);
        Vec<T> sum = {};
        for (int lane = 0; lane < kLanes<T>; ++lane) sum += block[lane];
        Store(to + i * kChunk + j, factor * sum);
      }
    }
  }
};

// The strip's own square of the scores; q and k are rows of the chunk.
template <typename T>
void StripSquare(const StridedRows<const T>& q, const StridedRows<const T>& k,
                 const Strip& strip, int64_t key_dim,
                 const ChunkGates<T>& gates, T scale, T* scores) {
  StripSums<T> sums;
  for (int64_t col = 0; col < key_dim; col += kLanes<T>) {
    const int64_t left = key_dim - col;
    Vec<T> queries[kStrip];
    Vec<T> factors[kStrip];
    for (int64_t i = strip.first; i < strip.last; ++i) {
      queries[i - strip.first] = LoadFirst(q.Row(i) + col, left);
      factors[i - strip.first] = Load(gates.gate(i) + col);
    }
    const int64_t rows = strip.last - strip.first;
    for (int64_t j = 0; j < rows; ++j) {
      Vec<T> key = LoadFirst(k.Row(strip.first + j) + col, left);
      sums.pairs[j * kStrip + j] += queries[j] * key;
      for (int64_t i = j + 1; i < rows; ++i) {
        key *= factors[i];
        sums.pairs[i * kStrip + j] += queries[i] * key;
      }
    }
  }
  sums.Write(scale, scores + strip.first * kChunk + strip.first);
}

// Keys decayed up to the start of the current strip, as (key_dim, chunk)
// panels; `data` holds key_pad * kChunk elements.
template <typename T>
class AnchoredKeys {
 public:
  AnchoredKeys(T* data, int64_t key_dim)
      : panels_{data, PadToVector(key_dim), kChunk}, key_dim_(key_dim) {}

  // scores(i, j) for the strip's rows and all j before it. `queries` are rows
  // q o from of the chunk.
  void Scores(const StridedRows<const T>& queries, const Strip& strip,
              T* scores) const {
    for (int64_t i = strip.first; i < strip.last; i += kTileRows) {
      const T* rows[kTileRows];
      RowPointers(queries, i, strip.last, rows);
      for (int64_t col = 0; col < strip.first; col += kPanelLanes<T>) {
        if (col + kLanes<T> >= strip.first) {
          ScoreTile<1>(rows, col, scores + i * kChunk + col);
        } else {
          ScoreTile<kPanelVectors>(rows, col, scores + i * kChunk + col);
        }
      }
    }
  }

  // Moves the anchor to the end of `strip`, whose own keys, rows k o to of the
  // chunk, are added.
  void Advance(const StridedRows<const T>& keys, const Strip& strip,
               const T* factors) const {
    for (int64_t col = 0; col < strip.first; col += kPanelLanes<T>) {
      T* row = panels_.Panel(col);
      for (int64_t c = 0; c < key_dim_; ++c, row += kPanelLanes<T>) {
        for (int64_t lane = 0; lane < kPanelLanes<T>; lane += kLanes<T>) {
          Store(row + lane, factors[c] * Load(row + lane));
        }
      }
    }
    const StridedRows<const T> rows = {keys.Row(strip.first), keys.stride};
    PackTransposedAt(rows, strip.last - strip.first, key_dim_, strip.first,
                     kStrip, panels_);
  }

 private:
  template <int NV>
  void ScoreTile(const T* const (&rows)[kTileRows], int64_t col,
                 T* scores) const {
    Tile<T, NV> tile;
    tile.Clear();
    tile.AddRows(rows, panels_.Panel(col), panels_.Width(col), key_dim_);
    tile.StoreAll(scores, kChunk);
  }

  const PanelMatrix<T> panels_;
  const int64_t key_dim_;
};

// Rows of a chunk that read keys: as they are, and decayed from the starts of
// their strips.
template <typename T>
struct QueryRole {
  StridedRows<const T> rows;
  StridedRows<const T> weighted;
  T scale;    // already part of `weighted`
  T* scores;  // (chunk, chunk)
};

// Keys of a chunk: as they are, and decayed up to the ends of their strips.
template <typename T>
struct KeyRole {
  StridedRows<const T> rows;
  StridedRows<const T> weighted;
  T* transposed;  // memory of AnchoredKeys
};

// The lower triangles of the scores of `count` roles, `n` tokens.
template <typename T>
void ScoreChunk(const KeyRole<T>& keys, int64_t n, int64_t key_dim,
                const ChunkGates<T>& gates, const QueryRole<T>* roles,
                int count) {
  const AnchoredKeys<T> anchored(keys.transposed, key_dim);
  const int64_t strips = Strip::CountOf(n);
  for (int64_t s = 0; s < strips; ++s) {
    const Strip strip(s, n);
    for (int i = 0; i < count; ++i) {
      const QueryRole<T>& role = roles[i];
      anchored.Scores(role.weighted, strip, role.scores);
      StripSquare(role.rows, keys.rows, strip, key_dim, gates, role.scale,
                  role.scores);
    }
    if (s + 1 < strips) anchored.Advance(keys.weighted, strip, gates.strip(s));
  }
}

}  // namespace longspan::kernels::LONGSPAN_ISA
