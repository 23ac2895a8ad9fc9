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

#include "kernels/cpu/forward_state.h"
#include "kernels/cpu/head_group.h"

namespace longspan::kernels::LONGSPAN_ISA {

// Packed operands of the chunk and head at work.
template <typename T>
struct ForwardBuffers {
  explicit ForwardBuffers(const LinearAttentionGroup<T>& group)
      : queries(group.scratch),
        keys_transposed(queries + kChunk * PadToVector(group.heads[0].key_dim)),
        keys_weighted(keys_transposed +
                      kChunk * PadToVector(group.heads[0].key_dim)),
        values(keys_weighted + kChunk * PadToVector(group.heads[0].key_dim)),
        scores(values + kChunk * PadToVector(group.heads[0].value_dim)),
        weights(scores + kChunk * kChunk) {}

  T* queries;          // (chunk, key_dim) panels
  T* keys_transposed;  // (key_dim, chunk) panels
  T* keys_weighted;    // (chunk, key_dim) panels
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
    const bool advances = s_.inter && Base::NeedsStateAfter(chunk);
    decay_.SetChunk(chunk.begin, chunk.end);
    Base::PackValues(chunk);
    if (advances) PackKeys(chunk);
    PackPanels(Base::From(s_.q, chunk.begin), n, s_.key_dim,
               static_cast<const T*>(nullptr), Queries());
    if (s_.intra) {
      const PanelMatrix<T> keys = {buffers_.keys_transposed, key_pad_,
                                   PadToVector(n)};
      PackTransposed(Base::From(s_.k, chunk.begin), n, s_.key_dim, keys);
      MaskedScores(Queries(), keys, n, decay_, buffers_.scores,
                   Base::Between());
    }
    if (s_.intra || has_state_) WriteOutputs(chunk);
    if (advances) AdvanceState(chunk);
  }

  void SummariseChunk(const Chunk& chunk) {
    decay_.SetBorders(chunk.begin, chunk.end);
    Base::PackValues(chunk);
    PackKeys(chunk);
    AdvanceState(chunk);
  }

 private:
  using Base::has_state_;
  using Base::key_pad_;
  using Base::s_;
  using Base::state_;
  using Base::value_pad_;

  PanelMatrix<T> Queries() const {
    return {buffers_.queries, kChunk, key_pad_};
  }
  PanelMatrix<T> WeightedKeys() const {
    return {buffers_.keys_weighted, kChunk, key_pad_};
  }

  void PackKeys(const Chunk& chunk) const {
    PackPanels(Base::From(s_.k, chunk.begin), chunk.size(), s_.key_dim,
               s_.decay == DecayKind::kNone ? nullptr : decay_.to_end(),
               WeightedKeys());
  }

  void WriteOutputs(const Chunk& chunk) const {
    Base::WriteOutputTiles(
        chunk, buffers_.scores, [&](auto& tile, int64_t i, int64_t col) {
          if (!has_state_) return;
          tile.AddPanelRows(Queries(), i, Base::State().Panel(col),
                            tile.kPanelStride, Base::Between());
          tile.ScaleRows(decay_.from_start() + i);
        });
  }

  void AdvanceState(const Chunk& chunk) {
    UpdateState(WeightedKeys(), Base::Values(), chunk.size(), decay_.total(),
                has_state_ ? state_ : nullptr, Base::State(), Base::Between());
    has_state_ = true;
  }

  const Buffers& buffers_;
  ChunkDecay<T> decay_;
};

template <typename T, typename Pass>
class ForwardGroup : public ForwardSweep<ForwardGroup<T, Pass>, Pass> {
 public:
  using Base = ForwardSweep<ForwardGroup, Pass>;

  explicit ForwardGroup(const LinearAttentionGroup<T>& group)
      : Base(group.count, WalkOf(group.heads[0]),
             group.heads[0].snapshot_interval),
        group_(group),
        buffers_(group) {
    for (int64_t h = 0; h < count_; ++h) {
      passes_[h].emplace(group.heads[h], buffers_, prefetch_,
                         group.head_scratch(h));
    }
  }

  void Outputs(bool inter) {
    Base::Outputs(inter);
    StreamFence();
  }

  void OutputChunk(const Chunk& chunk) {
    for (int64_t h = 0; h < count_; ++h) {
      PrefetchAfter(chunk, h);
      passes_[h]->OutputChunk(chunk);
    }
  }

 private:
  using Base::count_;
  using Base::passes_;
  using Base::walk_;

  // The rows that come after those of `head`: the next head's, or the first
  // one's of the next chunk.
  void PrefetchAfter(const Chunk& chunk, int64_t head) {
    const bool last = head + 1 == count_;
    const auto& next = group_.heads[last ? 0 : head + 1];
    const int64_t begin = last ? chunk.end : chunk.begin;
    const int64_t left = walk_.tokens() - begin;
    const int64_t rows = left < chunk.size() ? left : chunk.size();
    const auto add = [&](const auto& operand, int64_t cols) {
      prefetch_.AddRows(operand.data + begin * operand.stride,
                        operand.stride * sizeof(T), cols * sizeof(T), rows);
    };
    prefetch_.Begin();
    if (next.decay == DecayKind::kPerChannel) add(next.log_gate, next.key_dim);
    add(next.v, next.value_dim);
    add(next.k, next.key_dim);
    add(next.q, next.key_dim);
    if (!IsStreamed(next.o, next.tokens)) add(next.o, next.value_dim);
    prefetch_.SetSteps(Tiles(chunk.size()));
  }

  // Tiles of outputs and of the next state.
  int64_t Tiles(int64_t rows) const {
    const int64_t key_pad = PadToVector(group_.heads[0].key_dim);
    const int64_t value_pad = PadToVector(group_.heads[0].value_dim);
    const int64_t tiles = (value_pad + kPanelLanes<T> - 1) / kPanelLanes<T> *
                          ((rows + kTileRows - 1) / kTileRows);
    return tiles * (2 * key_pad / kSlab + 1);
  }

  const LinearAttentionGroup<T>& group_;
  const typename Pass::Buffers buffers_;
  ChunkPrefetch prefetch_;
};

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
