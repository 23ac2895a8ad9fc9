// Summaries, outputs and decoding of one sequence, chunk by chunk:
//
//     P = weights o (Q K^T)
//     O = from_start o (Q S) + P V
//     S <- total * S + (to_end o K)^T V
//
// The state, the score tile and the packed chunk stay in scratch memory that
// fits the L1 and L2 caches.
#pragma once

#include "kernels/cpu/chunk_product.h"
#include "kernels/cpu/chunk_walk.h"

namespace longspan::kernels::LONGSPAN_ISA {

template <typename T>
class ForwardPass {
 public:
  using Sequence = LinearAttentionSequence<T>;

  explicit ForwardPass(const Sequence& sequence)
      : s_(sequence),
        walk_(sequence.tokens, sequence.document_starts,
              sequence.document_count),
        key_pad_(PadToVector(sequence.key_dim)),
        value_pad_(PadToVector(sequence.value_dim)),
        keys_transposed_(sequence.scratch),
        keys_weighted_(keys_transposed_ + kChunk * key_pad_),
        values_(keys_weighted_ + kChunk * key_pad_),
        state_(values_ + kChunk * value_pad_),
        scores_(state_ + key_pad_ * value_pad_),
        weights_(scores_ + kChunk * kChunk),
        decay_(sequence, weights_ + kChunk * kChunk, weights_) {}

  void Outputs() {
    LoadState();
    for (int64_t t = 0; t < s_.tokens;) {
      const Chunk chunk = walk_.From(t);
      if (chunk.starts_document) has_state_ = false;
      OutputChunk(chunk);
      t = chunk.end;
    }
    if (s_.inter) StoreState();
  }

  // Sums states only, from the last document start on.
  void Summarise() {
    has_state_ = false;
    for (int64_t t = walk_.last_start(); t < s_.tokens;) {
      const Chunk chunk = walk_.From(t);
      decay_.SetChunk(chunk.begin, chunk.end);
      PackValues(chunk);
      AdvanceState(chunk);
      t = chunk.end;
    }
    StoreState();
  }

 private:
  PanelMatrix<T> State() const { return {state_, key_pad_, value_pad_}; }
  PanelMatrix<T> Values() const { return {values_, kChunk, value_pad_}; }
  static StridedRows<const T> From(const typename Sequence::Operand& operand,
                                   int64_t token) {
    return {operand.data + token * operand.stride, operand.stride};
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

  void PackValues(const Chunk& chunk) const {
    PackPanels(From(s_.v, chunk.begin), chunk.size(), s_.value_dim,
               static_cast<const T*>(nullptr), Values());
  }

  void OutputChunk(const Chunk& chunk) {
    const int64_t n = chunk.size();
    decay_.SetChunk(chunk.begin, chunk.end);
    PackValues(chunk);
    if (s_.intra) {
      const PanelMatrix<T> keys = {keys_transposed_, key_pad_, PadToVector(n)};
      PackTransposed(From(s_.k, chunk.begin), n, s_.key_dim, keys);
      MaskedScores(From(s_.q, chunk.begin), keys, n, s_.key_dim, decay_,
                   scores_);
    }
    if (s_.intra || has_state_) WriteOutputs(chunk);
    const bool last = chunk.end == s_.tokens;
    if (s_.inter && !(last && s_.final_state.data == nullptr)) {
      AdvanceState(chunk);
    }
  }

  void WriteOutputs(const Chunk& chunk) const {
    ForEachPanel<T>(value_pad_, [&](auto nv, int64_t col) {
      for (int64_t i = 0; i < chunk.size(); i += kTileRows) {
        WriteOutputTile<nv.kValue>(chunk, i, col);
      }
    });
  }

  template <int NV>
  void WriteOutputTile(const Chunk& chunk, int64_t i, int64_t col) const {
    const int64_t n = chunk.size();
    const PanelMatrix<T> values = Values();
    const int64_t width = values.Width(col);
    const T* rows[kTileRows];
    Tile<T, NV> tile;
    tile.Clear();
    if (has_state_) {
      RowPointers(From(s_.q, chunk.begin), i, n, rows);
      tile.AddRows(rows, State().Panel(col), width, 0, s_.key_dim);
      tile.ScaleRows(decay_.from_start() + i);
    }
    if (s_.intra) {
      const int64_t seen = i + kTileRows < n ? i + kTileRows : n;
      RowPointers(StridedRows<const T>{scores_, kChunk}, i, kChunk, rows);
      tile.AddRows(rows, values.Panel(col), width, 0, seen);
    }
    const StridedRows<T> to = {
        s_.o.data + (chunk.begin + i) * s_.o.stride + col, s_.o.stride};
    tile.StoreBlock(to, n - i, s_.value_dim - col, !s_.intra);
  }

  void AdvanceState(const Chunk& chunk) {
    PackRows(From(s_.k, chunk.begin), chunk.size(), s_.key_dim,
             s_.decay == DecayKind::kNone ? nullptr : decay_.to_end(),
             keys_weighted_, key_pad_);
    UpdateState(keys_weighted_, key_pad_, Values(), chunk.size(),
                decay_.total(), has_state_ ? state_ : nullptr, State());
    has_state_ = true;
  }

  const Sequence& s_;
  const ChunkWalk walk_;
  const int64_t key_pad_;
  const int64_t value_pad_;
  // Scratch.
  T* const keys_transposed_;  // (key_dim, chunk) panels
  T* const keys_weighted_;    // (chunk, key_dim)
  T* const values_;           // (chunk, value_dim) panels
  T* const state_;            // (key_dim, value_dim) panels
  T* const scores_;           // (chunk, chunk)
  T* const weights_;          // (chunk, chunk)
  ChunkDecay<T> decay_;
  bool has_state_ = false;  // state_ holds the state before the chunk
};

template <typename T>
double LogGateSum(const LinearAttentionSequence<T>& sequence) {
  if (sequence.decay == DecayKind::kConstant) {
    return sequence.tokens * sequence.log_decay;
  }
  double sum = 0.0;
  if (sequence.decay == DecayKind::kPerToken) {
    for (int64_t t = 0; t < sequence.tokens; ++t) {
      sum += sequence.log_gate.data[t * sequence.log_gate.stride];
    }
  }
  return sum;
}

template <typename T>
void Summarise(LinearAttentionSequence<T>& sequence) {
  ForwardPass<T>(sequence).Summarise();
  sequence.log_decay_sum = LogGateSum(sequence);
}

template <typename T>
void Outputs(const LinearAttentionSequence<T>& sequence) {
  ForwardPass<T>(sequence).Outputs();
}

// One step of the recurrence on a state in plain rows, and the output.
template <typename T>
void DecodeToken(const LinearAttentionSequence<T>& s, int64_t t, T decay) {
  const T* q = s.q.data + t * s.q.stride;
  const T* k = s.k.data + t * s.k.stride;
  const T* v = s.v.data + t * s.v.stride;
  T* o = s.o.data + t * s.o.stride;
  const T scale = static_cast<T>(s.scale);
  for (int64_t col = 0; col < s.value_dim; col += kLanes<T>) {
    const int64_t left = s.value_dim - col;
    const Vec<T> value = LoadFirst(v + col, left);
    Vec<T> sum = {};
    for (int64_t c = 0; c < s.key_dim; ++c) {
      T* row = s.final_state.data + c * s.final_state.stride + col;
      const Vec<T> state = decay * LoadFirst<T>(row, left) + k[c] * value;
      StoreFirst(row, state, left);
      sum += q[c] * state;
    }
    StoreFirst(o + col, scale * sum, left);
  }
}

template <typename T>
void Decode(const LinearAttentionSequence<T>& s) {
  for (int64_t t = 0; t < s.tokens; ++t) {
    double log_decay = s.decay == DecayKind::kConstant ? s.log_decay : 0.0;
    if (s.decay == DecayKind::kPerToken) {
      log_decay = s.log_gate.data[t * s.log_gate.stride];
    }
    DecodeToken(s, t, Exp<T>(Splat(static_cast<T>(log_decay)))[0]);
  }
}

}  // namespace longspan::kernels::LONGSPAN_ISA
