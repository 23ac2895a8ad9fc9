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

#include "kernels/cpu/forward_state.h"

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
class ForwardPass : public ForwardState<T> {
 public:
  using Base = ForwardState<T>;
  using Sequence = LinearAttentionSequence<T>;
  using Buffers = ForwardBuffers<T>;

  ForwardPass(const Sequence& sequence, const Buffers& buffers,
              ChunkPrefetch& prefetch, T* head_scratch)
      : Base(sequence, prefetch, head_scratch, buffers.values),
        buffers_(buffers),
        decay_(sequence, state_ + key_pad_ * value_pad_, buffers.weights) {}

  void OutputChunk(const Chunk& chunk) {
    const int64_t n = chunk.size();
    if (chunk.starts_document) has_state_ = false;
    decay_.SetChunk(chunk.begin, chunk.end);
    Base::PackValues(chunk);
    if (s_.intra) {
      const PanelMatrix<T> keys = {buffers_.keys_transposed, key_pad_,
                                   PadToVector(n)};
      PackTransposed(Base::From(s_.k, chunk.begin), n, s_.key_dim, keys);
      MaskedScores(Base::From(s_.q, chunk.begin), keys, n, s_.key_dim, decay_,
                   buffers_.scores);
    }
    if (s_.intra || has_state_) WriteOutputs(chunk);
    if (s_.inter && Base::NeedsStateAfter(chunk)) AdvanceState(chunk);
  }

  void SummariseChunk(const Chunk& chunk) {
    decay_.SetChunk(chunk.begin, chunk.end);
    Base::PackValues(chunk);
    AdvanceState(chunk);
  }

 private:
  using Base::has_state_;
  using Base::key_pad_;
  using Base::s_;
  using Base::state_;
  using Base::value_pad_;

  void WriteOutputs(const Chunk& chunk) const {
    const auto q = Base::From(s_.q, chunk.begin);
    Base::WriteOutputTiles(chunk, buffers_.scores,
                           [&](auto& tile, int64_t i, int64_t col) {
                             if (!has_state_) return;
                             const T* rows[kTileRows];
                             RowPointers(q, i, chunk.size(), rows);
                             tile.AddRows(rows, Base::State().Panel(col),
                                          Base::State().Width(col), s_.key_dim);
                             tile.ScaleRows(decay_.from_start() + i);
                           });
  }

  void AdvanceState(const Chunk& chunk) {
    PackRows(Base::From(s_.k, chunk.begin), chunk.size(), s_.key_dim,
             s_.decay == DecayKind::kNone ? nullptr : decay_.to_end(),
             buffers_.keys_weighted, key_pad_);
    UpdateState(buffers_.keys_weighted, key_pad_, Base::Values(), chunk.size(),
                decay_.total(), has_state_ ? state_ : nullptr, Base::State());
    has_state_ = true;
  }

  const Buffers& buffers_;
  ChunkDecay<T> decay_;
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
