// Summaries, outputs and decoding of a group of heads, chunk by chunk, and in a
// chunk head by head:
//
//     P = weights o (Q K^T)
//     O = from_start o (Q S) + P V
//     S <- total * S + (to_end o K)^T V
//
// The state, the score tile and the packed chunk stay in scratch memory that
// fits the L1 and L2 caches.
#pragma once

#include <optional>

#include "kernels/cpu/chunk_prefetch.h"
#include "kernels/cpu/chunk_product.h"
#include "kernels/cpu/chunk_walk.h"

namespace longspan::kernels::LONGSPAN_ISA {

// Packed operands of the chunk and head at work.
template <typename T>
struct ForwardBuffers {
  explicit ForwardBuffers(const LinearAttentionGroup<T>& group)
      : keys_transposed(group.scratch),
        keys_weighted(keys_transposed +
                      kChunk * PadToVector(group.heads[0].key_dim)),
        values(keys_weighted + kChunk * PadToVector(group.heads[0].key_dim)),
        scores(values + kChunk * PadToVector(group.heads[0].value_dim)),
        weights(scores + kChunk * kChunk) {}

  T* keys_transposed;  // (key_dim, chunk) panels
  T* keys_weighted;    // (chunk, key_dim)
  T* values;           // (chunk, value_dim) panels
  T* scores;           // (chunk, chunk)
  T* weights;          // (chunk, chunk)
};

// One head's walk; chunks are given in order by the caller.
template <typename T>
class ForwardPass {
 public:
  using Sequence = LinearAttentionSequence<T>;
  using Buffers = ForwardBuffers<T>;

  ForwardPass(const Sequence& sequence, const Buffers& buffers,
              ChunkPrefetch& prefetch, T* head_scratch)
      : s_(sequence),
        buffers_(buffers),
        prefetch_(prefetch),
        key_pad_(PadToVector(sequence.key_dim)),
        value_pad_(PadToVector(sequence.value_dim)),
        state_(head_scratch),
        decay_(sequence, state_ + key_pad_ * value_pad_, buffers.weights) {}

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
    const int64_t n = chunk.size();
    if (chunk.starts_document) has_state_ = false;
    decay_.SetChunk(chunk.begin, chunk.end);
    PackValues(chunk);
    if (s_.intra) {
      const PanelMatrix<T> keys = {buffers_.keys_transposed, key_pad_,
                                   PadToVector(n)};
      PackTransposed(From(s_.k, chunk.begin), n, s_.key_dim, keys);
      MaskedScores(From(s_.q, chunk.begin), keys, n, s_.key_dim, decay_,
                   buffers_.scores);
    }
    if (s_.intra || has_state_) WriteOutputs(chunk);
    const bool last = chunk.end == s_.tokens;
    if (s_.inter && !(last && s_.final_state.data == nullptr)) {
      AdvanceState(chunk);
    }
  }

  void SummariseChunk(const Chunk& chunk) {
    decay_.SetChunk(chunk.begin, chunk.end);
    PackValues(chunk);
    AdvanceState(chunk);
  }

 private:
  PanelMatrix<T> State() const { return {state_, key_pad_, value_pad_}; }
  PanelMatrix<T> Values() const {
    return {buffers_.values, kChunk, value_pad_};
  }
  static StridedRows<const T> From(const typename Sequence::Operand& operand,
                                   int64_t token) {
    return {operand.data + token * operand.stride, operand.stride};
  }

  void PackValues(const Chunk& chunk) const {
    PackPanels(From(s_.v, chunk.begin), chunk.size(), s_.value_dim,
               static_cast<const T*>(nullptr), Values());
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
    const PanelMatrix<T> values = Values();
    const int64_t width = values.Width(col);
    const T* rows[kTileRows];
    Tile<T, NV> tile;
    tile.Clear();
    if (has_state_) {
      RowPointers(From(s_.q, chunk.begin), i, n, rows);
      tile.AddRows(rows, State().Panel(col), width, s_.key_dim);
      tile.ScaleRows(decay_.from_start() + i);
    }
    if (s_.intra) {
      const int64_t seen = i + kTileRows < n ? i + kTileRows : n;
      RowPointers(StridedRows<const T>{buffers_.scores, kChunk}, i, kChunk,
                  rows);
      tile.AddRows(rows, values.Panel(col), width, seen);
    }
    const StridedRows<T> to = {
        s_.o.data + (chunk.begin + i) * s_.o.stride + col, s_.o.stride};
    tile.StoreBlock(to, n - i, s_.value_dim - col, !s_.intra);
  }

  void AdvanceState(const Chunk& chunk) {
    PackRows(From(s_.k, chunk.begin), chunk.size(), s_.key_dim,
             s_.decay == DecayKind::kNone ? nullptr : decay_.to_end(),
             buffers_.keys_weighted, key_pad_);
    UpdateState(buffers_.keys_weighted, key_pad_, Values(), chunk.size(),
                decay_.total(), has_state_ ? state_ : nullptr, State());
    has_state_ = true;
  }

  const Sequence& s_;
  const Buffers& buffers_;
  ChunkPrefetch& prefetch_;
  const int64_t key_pad_;
  const int64_t value_pad_;
  T* const state_;  // (key_dim, value_dim) panels
  ChunkDecay<T> decay_;
  bool has_state_ = false;  // state_ holds the state before the chunk
};

// The passes of a group's heads; nothing is allocated.
template <typename T, typename Pass>
class ForwardGroup {
 public:
  explicit ForwardGroup(const LinearAttentionGroup<T>& group)
      : group_(group),
        buffers_(group),
        count_(group.count),
        walk_(WalkOf(group.heads[0])) {
    for (int64_t h = 0; h < count_; ++h) {
      passes_[h].emplace(group.heads[h], buffers_, prefetch_,
                         group.head_scratch(h));
    }
  }

  void Outputs(bool inter) {
    for (int64_t h = 0; h < count_; ++h) passes_[h]->LoadState();
    for (int64_t t = 0; t < walk_.tokens();) {
      const Chunk chunk = walk_.From(t);
      PrefetchAfter(chunk);
      for (int64_t h = 0; h < count_; ++h) passes_[h]->OutputChunk(chunk);
      t = chunk.end;
    }
    if (inter) StoreStates();
  }

  // Sums states only, from the last document start on.
  void Summarise() {
    for (int64_t t = walk_.last_start(); t < walk_.tokens();) {
      const Chunk chunk = walk_.From(t);
      for (int64_t h = 0; h < count_; ++h) passes_[h]->SummariseChunk(chunk);
      t = chunk.end;
    }
    StoreStates();
  }

  template <typename Fn>
  void ForEachPass(const Fn& fn) {
    for (int64_t h = 0; h < count_; ++h) fn(*passes_[h]);
  }

 private:
  void StoreStates() {
    ForEachPass([](const Pass& pass) { pass.StoreState(); });
  }

  void PrefetchAfter(const Chunk& chunk) {
    const auto& first = group_.heads[0];
    const auto& last = group_.heads[count_ - 1];
    const int64_t left = walk_.tokens() - chunk.end;
    const int64_t rows = left < chunk.size() ? left : chunk.size();
    const auto add = [&](const auto& from, const auto& to, int64_t cols) {
      prefetch_.AddRows(from.data + chunk.end * from.stride,
                        from.stride * sizeof(T),
                        (to.data - from.data + cols) * sizeof(T), rows);
    };
    prefetch_.Begin();
    add(first.v, last.v, first.value_dim);
    add(first.k, last.k, first.key_dim);
    add(first.q, last.q, first.key_dim);
    add(first.o, last.o, first.value_dim);
    prefetch_.SetSteps(count_ * Steps(chunk.size()));
  }
  int64_t Steps(int64_t rows) const {
    const int64_t value_pad = PadToVector(group_.heads[0].value_dim);
    const int64_t panels = (value_pad + kPanelLanes<T> - 1) / kPanelLanes<T>;
    return panels * ((rows + kTileRows - 1) / kTileRows);
  }

  const LinearAttentionGroup<T>& group_;
  const typename Pass::Buffers buffers_;
  ChunkPrefetch prefetch_;
  const int64_t count_;
  const ChunkWalk walk_;
  std::optional<Pass> passes_[kMaxGroupHeads];
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
void Summarise(LinearAttentionGroup<T>& group) {
  ForwardGroup<T, ForwardPass<T>>(group).Summarise();
  for (int64_t h = 0; h < group.count; ++h) {
    *group.heads[h].log_decay_sums = static_cast<T>(LogGateSum(group.heads[h]));
  }
}

template <typename T>
void Outputs(const LinearAttentionGroup<T>& group) {
  ForwardGroup<T, ForwardPass<T>>(group).Outputs(group.heads[0].inter);
}

// One step of the recurrence on a state in plain rows, and the output; row c of
// the state decays by decay(c).
template <typename T, typename Decay>
LONGSPAN_INLINE void DecodeToken(const LinearAttentionSequence<T>& s, int64_t t,
                                 const Decay& decay) {
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
      const Vec<T> state = decay(c) * LoadFirst<T>(row, left) + k[c] * value;
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
    const T decay = Exp<T>(Splat(static_cast<T>(log_decay)))[0];
    DecodeToken(s, t, [&](int64_t) { return decay; });
  }
}

}  // namespace longspan::kernels::LONGSPAN_ISA
