// Summaries, outputs and decoding with a decay per channel: the walk of
// linear_attention_forward.h, and in a chunk
//
//     P = scores of chunk_strip.h
//     O = (Q o exp(b)) S + P V
//     S <- diag(exp(b_n)) S + (K o exp(b_n - b))^T V
//
// where b are the chunk's sums of log gates (scale is part of Q).
#pragma once

#include "kernels/cpu/chunk_strip.h"
#include "kernels/cpu/linear_attention_forward.h"

namespace longspan::kernels::LONGSPAN_ISA {

template <typename T>
struct VectorForwardBuffers {
  explicit VectorForwardBuffers(const LinearAttentionGroup<T>& group) {
    const int64_t key_pad = PadToVector(group.heads[0].key_dim);
    const int64_t value_pad = PadToVector(group.heads[0].value_dim);
    keys_transposed = group.scratch;
    keys = keys_transposed + kChunk * key_pad;
    queries = keys + kChunk * key_pad;
    values = queries + kChunk * key_pad;
    scores = values + kChunk * value_pad;
    gates = scores + kChunk * kChunk;
  }

  T* keys_transposed;  // (key_dim, chunk) panels
  T* keys;             // (chunk, key_dim)
  T* queries;          // (chunk, key_dim)
  T* values;           // (chunk, value_dim) panels
  T* scores;           // (chunk, chunk)
  T* gates;            // tables of ChunkGates
};

// One head's walk; chunks are given in order by the caller.
template <typename T>
class VectorForwardPass {
 public:
  using Sequence = LinearAttentionSequence<T>;
  using Buffers = VectorForwardBuffers<T>;

  VectorForwardPass(const Sequence& sequence, const Buffers& buffers,
                    ChunkPrefetch& prefetch, T* head_scratch)
      : s_(sequence),
        buffers_(buffers),
        prefetch_(prefetch),
        key_pad_(PadToVector(sequence.key_dim)),
        value_pad_(PadToVector(sequence.value_dim)),
        state_(head_scratch),
        log_decay_sums_(
            reinterpret_cast<double*>(state_ + key_pad_ * value_pad_)),
        gates_(sequence, buffers.gates) {
    for (int64_t c = 0; c < key_pad_; ++c) log_decay_sums_[c] = 0.0;
  }

  void LoadState() {
    has_state_ = s_.inter && s_.initial_state.data != nullptr;
    if (!has_state_) return;
    FillZero(state_, key_pad_ * value_pad_);
    PackPanels(From(s_.initial_state, 0), s_.key_dim, s_.value_dim,
               static_cast<const T*>(nullptr), State());
  }

  void StoreState() const {
    if (s_.final_state.data == nullptr) return;
    UnpackPanels(State(), {s_.final_state.data, s_.final_state.stride},
                 s_.key_dim, s_.value_dim);
  }

  void OutputChunk(const Chunk& chunk) {
    if (chunk.starts_document) has_state_ = false;
    SetKeys(chunk);
    PackValues(chunk);
    SetQueries(chunk);
    if (s_.intra) WriteScores(chunk);
    if (has_state_) {
      RescaleRows(
          chunk.size(), [&](int64_t i) { return gates_.before(i / kStrip); },
          buffers_.queries, key_pad_);
    }
    if (s_.intra || has_state_) WriteOutputs(chunk);
    const bool last = chunk.end == s_.tokens;
    if (s_.inter && !(last && s_.final_state.data == nullptr)) {
      AdvanceState(chunk);
    }
  }

  void SummariseChunk(const Chunk& chunk) {
    SetKeys(chunk);
    PackValues(chunk);
    AdvanceState(chunk);
    for (int64_t c = 0; c < s_.key_dim; ++c) {
      log_decay_sums_[c] += gates_.total_sum()[c];
    }
  }

  void StoreLogDecaySums() const {
    for (int64_t c = 0; c < s_.key_dim; ++c) {
      s_.log_decay_sums[c] = static_cast<T>(log_decay_sums_[c]);
    }
  }

 protected:
  PanelMatrix<T> State() const { return {state_, key_pad_, value_pad_}; }
  PanelMatrix<T> Values() const {
    return {buffers_.values, kChunk, value_pad_};
  }
  StridedRows<const T> Queries() const { return {buffers_.queries, key_pad_}; }
  StridedRows<const T> Keys() const { return {buffers_.keys, key_pad_}; }
  static StridedRows<const T> From(const typename Sequence::Operand& operand,
                                   int64_t token) {
    return {operand.data + token * operand.stride, operand.stride};
  }

  // Gates, and keys decayed up to the ends of their strips.
  void SetKeys(const Chunk& chunk) {
    gates_.SetChunk(chunk.begin, chunk.end);
    WeightRows(
        From(s_.k, chunk.begin), chunk.size(), s_.key_dim, T{1},
        [&](int64_t i) { return gates_.to(i); }, buffers_.keys, key_pad_);
  }

  // scale * q decayed from the starts of their strips.
  void SetQueries(const Chunk& chunk) const {
    WeightRows(
        From(s_.q, chunk.begin), chunk.size(), s_.key_dim,
        static_cast<T>(s_.scale), [&](int64_t i) { return gates_.from(i); },
        buffers_.queries, key_pad_);
  }

  void PackValues(const Chunk& chunk) const {
    PackPanels(From(s_.v, chunk.begin), chunk.size(), s_.value_dim,
               static_cast<const T*>(nullptr), Values());
  }

  void WriteScores(const Chunk& chunk) const {
    const AnchoredKeys<T> anchored(buffers_.keys_transposed, s_.key_dim);
    const int64_t strips = Strip::CountOf(chunk.size());
    for (int64_t s = 0; s < strips; ++s) {
      const Strip strip(s, chunk.size());
      anchored.Scores(Queries(), strip, buffers_.scores);
      StripSquare(From(s_.q, chunk.begin), From(s_.k, chunk.begin), strip,
                  s_.key_dim, gates_, static_cast<T>(s_.scale),
                  buffers_.scores);
      if (s + 1 < strips) anchored.Advance(Keys(), strip, gates_.strip(s));
    }
  }

  void WriteOutputs(const Chunk& chunk) const {
    ForEachPanel<T>(value_pad_, [&](auto nv, int64_t col) {
      for (int64_t i = 0; i < chunk.size(); i += kTileRows) {
        prefetch_.Step();
        WriteOutputTile<nv.kValue>(chunk, i, col);
      }
    });
  }

  template <int NV>
  void WriteOutputTile(const Chunk& chunk, int64_t i, int64_t col) const {
    const int64_t n = chunk.size();
    const int64_t width = Values().Width(col);
    const T* rows[kTileRows];
    Tile<T, NV> tile;
    tile.Clear();
    if (has_state_) {
      RowPointers(Queries(), i, n, rows);
      tile.AddRows(rows, State().Panel(col), width, s_.key_dim);
    }
    if (s_.intra) {
      const int64_t seen = i + kTileRows < n ? i + kTileRows : n;
      RowPointers(StridedRows<const T>{buffers_.scores, kChunk}, i, kChunk,
                  rows);
      tile.AddRows(rows, Values().Panel(col), width, seen);
    }
    const StridedRows<T> to = {
        s_.o.data + (chunk.begin + i) * s_.o.stride + col, s_.o.stride};
    tile.StoreBlock(to, n - i, s_.value_dim - col, !s_.intra);
  }

  void AdvanceState(const Chunk& chunk) {
    RescaleRows(
        chunk.size(), [&](int64_t i) { return gates_.after(i / kStrip); },
        buffers_.keys, key_pad_);
    UpdateStateRows(buffers_.keys, key_pad_, Values(), chunk.size(),
                    gates_.total(), has_state_ ? state_ : nullptr, State());
    has_state_ = true;
  }

  const Sequence& s_;
  const Buffers& buffers_;
  ChunkPrefetch& prefetch_;
  const int64_t key_pad_;
  const int64_t value_pad_;
  T* const state_;  // (key_dim, value_dim) panels
  double* const log_decay_sums_;
  ChunkGates<T> gates_;
  bool has_state_ = false;  // state_ holds the state before the chunk
};

template <typename T>
using VectorForwardGroup = ForwardGroup<T, VectorForwardPass<T>>;

template <typename T>
void VectorSummarise(LinearAttentionGroup<T>& group) {
  VectorForwardGroup<T> forward(group);
  forward.Summarise();
  forward.ForEachPass([](const auto& pass) { pass.StoreLogDecaySums(); });
}

template <typename T>
void VectorOutputs(const LinearAttentionGroup<T>& group) {
  VectorForwardGroup<T>(group).Outputs(group.heads[0].inter);
}

template <typename T>
void VectorDecode(const LinearAttentionSequence<T>& s) {
  alignas(64) T decays[kMaxKeyDim];
  for (int64_t t = 0; t < s.tokens; ++t) {
    const T* gates = s.log_gate.data + t * s.log_gate.stride;
    for (int64_t c = 0; c < s.key_dim; c += kLanes<T>) {
      Store(decays + c, Exp<T>(LoadFirst(gates + c, s.key_dim - c)));
    }
    DecodeToken(s, t, [&](int64_t c) { return decays[c]; });
  }
}

}  // namespace longspan::kernels::LONGSPAN_ISA
