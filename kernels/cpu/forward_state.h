// The state of one head's walk forward, and what the chunks of all transitions
// do with it alike; included by the passes of linear_attention_*forward.h.
#pragma once

#include "kernels/cpu/chunk_prefetch.h"
#include "kernels/cpu/chunk_product.h"
#include "kernels/cpu/chunk_stream.h"
#include "kernels/cpu/chunk_walk.h"

namespace longspan::kernels::LONGSPAN_ISA {

template <typename T>
class ForwardState {
 public:
  using Sequence = LinearAttentionSequence<T>;

  // `state` holds one padded state, `values` kChunk padded rows of values.
  ForwardState(const Sequence& sequence, ChunkPrefetch& prefetch, T* state,
               T* values)
      : s_(sequence),
        key_pad_(PadToVector(sequence.key_dim)),
        value_pad_(PadToVector(sequence.value_dim)),
        state_(state),
        streams_(IsStreamed(sequence.o, sequence.tokens)),
        prefetch_(prefetch),
        values_(values) {}

  void LoadState() {
    has_state_ = s_.inter && s_.initial_state.data != nullptr;
    if (!has_state_) return;
    FillZero(state_, key_pad_ * value_pad_);
    PackPanels(From(s_.initial_state, 0), s_.key_dim, s_.value_dim,
               static_cast<const T*>(nullptr), State());
  }

  void StoreState() const { Store(s_.final_state); }

  // After the first (p + 1) * snapshot_interval tokens.
  void StoreSnapshot(int64_t p) const {
    auto to = s_.prefix_states;
    to.data += p * s_.snapshot_stride;
    Store(to);
  }

 protected:
  PanelMatrix<T> State() const { return {state_, key_pad_, value_pad_}; }
  PanelMatrix<T> Values() const { return {values_, kChunk, value_pad_}; }
  static StridedRows<const T> From(const typename Sequence::Operand& operand,
                                   int64_t token) {
    return {operand.data + token * operand.stride, operand.stride};
  }

  void PackValues(const Chunk& chunk) const {
    PackPanels(From(s_.v, chunk.begin), chunk.size(), s_.value_dim,
               static_cast<const T*>(nullptr), Values());
  }

  // Whether a later token, or the caller, reads the state after the chunk.
  bool NeedsStateAfter(const Chunk& chunk) const {
    return chunk.end < s_.tokens || s_.final_state.data != nullptr;
  }

  // Done between the slabs of the chunk's products.
  auto Between() const {
    return [this] { prefetch_.Step(); };
  }

  // The chunk's outputs, tile by tile: begin(tile, row, column) adds what flows
  // from the state, and the chunk's own `scores` and values follow.
  template <typename Begin>
  void WriteOutputTiles(const Chunk& chunk, const T* scores,
                        const Begin& begin) const {
    const int64_t n = chunk.size();
    ForEachPanel<T>(value_pad_, [&](auto nv, int64_t col) {
      for (int64_t i = 0; i < n; i += kTileRows) {
        prefetch_.Step();
        Tile<T, nv.kValue> tile;
        tile.Clear();
        begin(tile, i, col);
        if (s_.intra) {
          const T* rows[kTileRows];
          const int64_t seen = i + kTileRows < n ? i + kTileRows : n;
          RowPointers(StridedRows<const T>{scores, kChunk}, i, kChunk, rows);
          tile.AddRows(rows, Values().Panel(col), tile.kPanelStride, seen);
        }
        const StridedRows<T> to = {
            s_.o.data + (chunk.begin + i) * s_.o.stride + col, s_.o.stride};
        tile.StoreBlock(to, n - i, s_.value_dim - col, !s_.intra, streams_);
      }
    });
  }

  const Sequence& s_;
  const int64_t key_pad_;
  const int64_t value_pad_;
  T* const state_;          // (key_dim, value_dim) panels
  bool has_state_ = false;  // state_ holds the state before the chunk

 private:
  void Store(const typename Sequence::Result& to) const {
    if (to.data == nullptr) return;
    UnpackPanels(State(), {to.data, to.stride}, s_.key_dim, s_.value_dim);
  }

  const bool streams_;  // outputs past the caches
  ChunkPrefetch& prefetch_;
  T* const values_;  // (chunk, value_dim) panels
};

}  // namespace longspan::kernels::LONGSPAN_ISA
