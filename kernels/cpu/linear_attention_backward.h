// Gradients of a group of heads. A forward sweep recomputes the state S at
// every block start; a reverse sweep then carries dS, the gradient of the state
// at the end of the chunk, and writes each gradient once:
//
//     P = weights o (Q K^T)              dP = weights o (dO V^T)
//     dQ = from_start o (dO S^T) + dP K
//     dK = to_end o (V dS^T) + dP^T Q
//     dV = to_end o (K dS) + P^T dO
//     dS <- total * dS + (from_start o Q)^T dO
//     dlog_gate_t = sum_{s >= t} (q_s . dq_s - k_s . dk_s) + <S_end, dS_end>
//
// where the last sum runs over the chunk and S_end, dS_end belong to its end:
// the boundary term, without which gates forget what follows the chunk.
// S is kept transposed, because dO S^T needs its rows as columns.
#pragma once

#include "kernels/cpu/backward_states.h"
#include "kernels/cpu/head_group.h"

namespace longspan::kernels::LONGSPAN_ISA {

// Packed operands of the chunk and head at work.
template <typename T>
struct BackwardBuffers {
  explicit BackwardBuffers(const LinearAttentionGroup<T>& group) {
    const int64_t keys_size = kChunk * PadToVector(group.heads[0].key_dim);
    const int64_t values_size = kChunk * PadToVector(group.heads[0].value_dim);
    T* next = group.scratch;
    const auto take = [&](int64_t size) {
      T* begin = next;
      next += size;
      return begin;
    };
    keys_transposed = take(keys_size);
    keys = take(keys_size);
    queries = take(keys_size);
    weighted = take(keys_size);
    values_transposed = take(values_size);
    values = take(values_size);
    d_outputs = take(values_size);
    d_state_transposed = take(group.plan.state_elements);
    scores = take(kChunk * kChunk);
    d_scores = take(kChunk * kChunk);
    weights = take(kChunk * kChunk);
  }

  T* keys_transposed;     // (key_dim, chunk) panels
  T* keys;                // (chunk, key_dim) panels
  T* queries;             // (chunk, key_dim) panels
  T* weighted;            // (chunk, key_dim) panels, of keys or queries
  T* values_transposed;   // (value_dim, chunk) panels
  T* values;              // (chunk, value_dim) panels
  T* d_outputs;           // (chunk, value_dim) panels
  T* d_state_transposed;  // (value_dim, key_dim) panels
  T* scores;              // (chunk, chunk)
  T* d_scores;            // (chunk, chunk)
  T* weights;             // (chunk, chunk)
};

// One head's walks; blocks and chunks are given in order by the caller.
template <typename T>
class BackwardPass : public BackwardStates<T> {
 public:
  using Base = BackwardStates<T>;
  using Sequence = LinearAttentionSequence<T>;
  using Buffers = BackwardBuffers<T>;

  BackwardPass(const Sequence& sequence, const Buffers& buffers,
               const LinearAttentionPlan& plan, ChunkPrefetch& prefetch,
               T* head_scratch)
      : Base(sequence, plan, prefetch, head_scratch,
             head_scratch + plan.state_elements + 8 * kChunk,
             buffers.d_outputs),
        buffers_(buffers),
        decay_(sequence, head_scratch + plan.state_elements, buffers.weights) {}

  // Only the block's last chunk reaches its end: a chunk that follows another
  // in the same block starts a document.
  void AdvanceBlock(const Chunk& chunk, int64_t block_in_group) {
    const int64_t n = chunk.size();
    T* from = states_ + block_in_group * state_size_;
    decay_.SetBorders(chunk.begin, chunk.end);
    PackPanels(Base::From(s_.k, chunk.begin), n, s_.key_dim,
               s_.decay == DecayKind::kNone ? nullptr : decay_.to_end(),
               Weighted());
    const auto advance = [&](const auto& values) {
      UpdateState(values, Weighted(), n, decay_.total(),
                  Base::HasStateBefore(chunk) ? from : nullptr,
                  Base::TransposedState(from + state_size_), Base::Between());
    };
    const auto values = Base::From(s_.v, chunk.begin);
    if (s_.value_dim == value_pad_) return advance(values);
    PackPanels(values, n, s_.value_dim, kUnweighted, Values());
    advance(Values());
  }

  void SummariseChunk(const Chunk& chunk) {
    decay_.SetBorders(chunk.begin, chunk.end);
    Base::PackOutputGradients(chunk);
    WeightQueries(chunk);
    RetreatState(chunk);
  }

  // ---- the reverse sweep ------------------------------------------------

  void ReverseChunk(const Chunk& chunk, int64_t block_in_group) {
    T* state = states_ + block_in_group * state_size_;
    const T* end_state = state + state_size_;
    const bool has_state = Base::HasStateBefore(chunk);
    const bool gates = s_.decay == DecayKind::kPerToken;
    decay_.SetChunk(chunk.begin, chunk.end);
    double boundary = 0.0;
    if (has_d_state_) {
      TransposePanels(Base::GradientState(),
                      Base::TransposedState(buffers_.d_state_transposed));
      if (gates) boundary = StateProduct(end_state);
    }
    PackOperands(chunk);
    if (s_.intra) WriteScores(chunk);
    GateTerms terms;
    if (gates) terms.Clear();
    if (s_.intra || has_state) {
      WriteQueryGradients(chunk, has_state ? state : nullptr,
                          gates ? terms.queries : nullptr);
    }
    if (s_.intra || has_d_state_) {
      WriteKeyGradients(chunk, gates ? terms.keys : nullptr);
      WriteValueGradients(chunk);
    }
    if (gates) {
      terms.Sum();
      WriteGateGradients(chunk, has_state, terms, boundary);
    }
    if (s_.inter) RetreatState(chunk);
    if (chunk.starts_document) has_d_state_ = false;
  }

 private:
  using Base::d_state_;
  using Base::has_d_state_;
  using Base::key_pad_;
  using Base::s_;
  using Base::state_size_;
  using Base::states_;
  using Base::value_pad_;

  static constexpr const T* kUnweighted = nullptr;

  // q_i . dq_i and k_i . dk_i of a chunk's rows, of what the call adds to dq
  // and dk: each row in lanes, which Sum adds up.
  struct GateTerms {
    void Clear() {
      for (T& term : queries) term = 0;
      for (T& term : keys) term = 0;
    }

    // Lane i is the sum of the lanes of the i-th vector from `rows`.
    static Vec<T> SumOfEach(const T* rows) {
      Vec<T> block[kLanes<T>];
#pragma GCC unroll 16
      for (int i = 0; i < kLanes<T>; ++i) {
        block[i] = Load(rows + i * kLanes<T>);
      }
      Transpose<T>(block);
      Vec<T> sum = block[0];
#pragma GCC unroll 16
      for (int i = 1; i < kLanes<T>; ++i) sum += block[i];
      return sum;
    }

    void Sum() {
      for (int64_t i = 0; i < kChunk; i += kLanes<T>) {
        Store(query_sums + i, SumOfEach(queries + i * kLanes<T>));
        Store(key_sums + i, SumOfEach(keys + i * kLanes<T>));
      }
    }

    double Row(int64_t i) const {
      return static_cast<double>(query_sums[i]) - key_sums[i];
    }

    alignas(64) T queries[kChunk * kLanes<T>];
    alignas(64) T keys[kChunk * kLanes<T>];
    alignas(64) T query_sums[kChunk];
    alignas(64) T key_sums[kChunk];
  };

  PanelMatrix<T> Keys() const { return {buffers_.keys, kChunk, key_pad_}; }
  PanelMatrix<T> Queries() const {
    return {buffers_.queries, kChunk, key_pad_};
  }
  PanelMatrix<T> Weighted() const {
    return {buffers_.weighted, kChunk, key_pad_};
  }
  PanelMatrix<T> Values() const {
    return {buffers_.values, kChunk, value_pad_};
  }

  // from_start o Q
  void WeightQueries(const Chunk& chunk) {
    PackPanels(Base::From(s_.q, chunk.begin), chunk.size(), s_.key_dim,
               decay_.from_start(), Weighted());
  }

  void RetreatState(const Chunk& chunk) {
    UpdateState(Weighted(), Base::OutputGradients(), chunk.size(),
                decay_.total(), has_d_state_ ? d_state_ : nullptr,
                Base::GradientState(), Base::Between());
    has_d_state_ = true;
  }

  // One copy of each operand serves all products.
  void PackOperands(const Chunk& chunk) {
    const int64_t n = chunk.size();
    PackPanels(Base::From(s_.k, chunk.begin), n, s_.key_dim, kUnweighted,
               Keys());
    PackPanels(Base::From(s_.q, chunk.begin), n, s_.key_dim, kUnweighted,
               Queries());
    PackPanels(Base::From(s_.v, chunk.begin), n, s_.value_dim, kUnweighted,
               Values());
    Base::PackOutputGradients(chunk);
    if (s_.inter) WeightQueries(chunk);
  }

  void WriteScores(const Chunk& chunk) {
    const int64_t n = chunk.size();
    const PanelMatrix<T> keys = {buffers_.keys_transposed, key_pad_,
                                 PadToVector(n)};
    const PanelMatrix<T> values = {buffers_.values_transposed, value_pad_,
                                   PadToVector(n)};
    PackTransposed(Base::From(s_.k, chunk.begin), n, s_.key_dim, keys);
    PackTransposed(Base::From(s_.v, chunk.begin), n, s_.value_dim, values);
    MaskedScores(Queries(), keys, n, decay_, buffers_.scores, Base::Between());
    MaskedScores(Base::OutputGradients(), values, n, decay_, buffers_.d_scores,
                 Base::Between());
  }

  // `terms` as in GateTerms, or null.
  void WriteQueryGradients(const Chunk& chunk, T* state, T* terms) {
    const int64_t n = chunk.size();
    const bool streams = Base::Streams(s_.d_q);
    ForEachPanel<T>(key_pad_, [&](auto nv, int64_t col) {
      for (int64_t i = 0; i < n; i += kTileRows) {
        Tile<T, nv.kValue> tile;
        tile.Clear();
        if (state != nullptr) {
          tile.AddPanelRows(Base::OutputGradients(), i,
                            Base::TransposedState(state).Panel(col),
                            tile.kPanelStride, Base::Between());
          tile.ScaleRows(decay_.from_start() + i);
        }
        if (s_.intra) {
          const int64_t seen = i + kTileRows < n ? i + kTileRows : n;
          const T* rows[kTileRows];
          RowPointers(StridedRows<const T>{buffers_.d_scores, kChunk}, i,
                      kChunk, rows);
          tile.AddRows(rows, Keys().Panel(col), tile.kPanelStride, seen);
        }
        if (terms != nullptr) {
          tile.AddRowProducts(Queries().Panel(col) + i * tile.kPanelStride,
                              tile.kPanelStride, terms + i * kLanes<T>);
        }
        StridedRows<T> to = Base::To(s_.d_q, chunk.begin + i);
        to.data += col;
        tile.StoreBlock(to, n - i, s_.key_dim - col, !s_.intra, streams);
      }
    });
  }

  void WriteKeyGradients(const Chunk& chunk, T* terms) {
    WriteTransposedGradients(
        chunk, Values(), Base::TransposedState(buffers_.d_state_transposed),
        buffers_.d_scores, Queries(), s_.key_dim, s_.d_k, terms);
  }

  void WriteValueGradients(const Chunk& chunk) {
    WriteTransposedGradients(chunk, Keys(), Base::GradientState(),
                             buffers_.scores, Base::OutputGradients(),
                             s_.value_dim, s_.d_v, nullptr);
  }

  // result = to_end o (a state) + scores^T later, where `later` holds the rows
  // of tokens that come after. `terms` are of the keys.
  void WriteTransposedGradients(const Chunk& chunk, const PanelMatrix<T>& a,
                                const PanelMatrix<T>& state, const T* scores,
                                const PanelMatrix<T>& later, int64_t cols,
                                const typename Sequence::Result& result,
                                T* terms) {
    const int64_t n = chunk.size();
    const bool streams = Base::Streams(result);
    ForEachPanel<T>(later.cols, [&](auto nv, int64_t col) {
      for (int64_t j = 0; j < n; j += kTileRows) {
        Tile<T, nv.kValue> tile;
        tile.Clear();
        if (has_d_state_) {
          tile.AddPanelRows(a, j, state.Panel(col), tile.kPanelStride,
                            Base::Between());
          tile.ScaleRows(decay_.to_end() + j);
        }
        if (s_.intra) {
          tile.AddColumns(scores + j * kChunk + j, kChunk,
                          later.Panel(col) + j * tile.kPanelStride,
                          tile.kPanelStride, n - j);
        }
        if (terms != nullptr) {
          tile.AddRowProducts(Keys().Panel(col) + j * tile.kPanelStride,
                              tile.kPanelStride, terms + j * kLanes<T>);
        }
        StridedRows<T> to = Base::To(result, chunk.begin + j);
        to.data += col;
        tile.StoreBlock(to, n - j, cols - col, !s_.intra, streams);
      }
    });
  }

  // ---- gates ------------------------------------------------------------

  // <S_end, dS_end>
  double StateProduct(const T* end_state) const {
    Vec<T> sums[4] = {};
    for (int64_t i = 0; i < state_size_; i += 4 * kLanes<T>) {
      for (int j = 0; j < 4; ++j) {
        const int64_t at = i + j * kLanes<T>;
        sums[j] +=
            Load(end_state + at) * Load(buffers_.d_state_transposed + at);
      }
    }
    return SumLanes<T>((sums[0] + sums[1]) + (sums[2] + sums[3]));
  }

  void WriteGateGradients(const Chunk& chunk, bool has_state,
                          const GateTerms& terms, double boundary) {
    const bool add = !s_.intra;
    double sum = boundary;
    for (int64_t i = chunk.size() - 1; i >= 0; --i) {
      sum += terms.Row(i);
      T* to = s_.d_log_gate.data + (chunk.begin + i) * s_.d_log_gate.stride;
      // The gate of a token with no state before it multiplies zero.
      const double value = i == 0 && !has_state ? 0.0 : sum;
      *to = static_cast<T>(add ? *to + value : value);
    }
  }

  const Buffers& buffers_;
  ChunkDecay<T> decay_;
};

template <typename T, typename Pass>
class BackwardGroup : public BackwardSweep<BackwardGroup<T, Pass>, Pass> {
 public:
  using Base = BackwardSweep<BackwardGroup, Pass>;

  explicit BackwardGroup(const LinearAttentionGroup<T>& group)
      : Base(group.count, WalkOf(group.heads[0]), group.plan,
             group.heads[0].inter),
        buffers_(group) {
    for (int64_t h = 0; h < count_; ++h) {
      passes_[h].emplace(group.heads[h], buffers_, plan_, prefetch_,
                         group.head_scratch(h));
    }
  }

  void Gradients() {
    Base::Gradients();
    StreamFence();
  }

  void FillStates(int64_t group) {
    this->ForEachPass([&](auto& pass) { pass.BeginGroup(group); });
    const int64_t first = group * plan_.group_blocks;
    int64_t i = 0;
    for (; i < plan_.group_blocks && first + i < plan_.blocks; ++i) {
      const Chunk chunk = walk_.Until(Base::BlockBegin(first + i + 1));
      for (int64_t h = 0; h < count_; ++h) {
        PrefetchForward(chunk, h);
        passes_[h]->AdvanceBlock(chunk, i);
      }
    }
    this->ForEachPass([&](auto& pass) { pass.EndGroup(group, i); });
  }

  void ReverseChunk(const Chunk& chunk, int64_t block) {
    for (int64_t h = 0; h < count_; ++h) {
      PrefetchReverse(chunk, block, h);
      passes_[h]->BeginSharedGradients();
      passes_[h]->ReverseChunk(chunk, block);
      passes_[h]->EndSharedGradients(chunk);
    }
  }

 private:
  using Base::count_;
  using Base::passes_;
  using Base::plan_;
  using Base::walk_;

  // The next head's operands, or those of the first head's next chunk.
  void PrefetchForward(const Chunk& chunk, int64_t head) {
    prefetch_.Begin();
    if (head + 1 < count_) {
      return passes_[head + 1]->PrefetchForward(chunk.begin, chunk.end);
    }
    const int64_t end = chunk.end + kChunk;
    passes_[0]->PrefetchForward(chunk.end,
                                end < walk_.tokens() ? end : walk_.tokens());
  }
  void PrefetchReverse(const Chunk& chunk, int64_t block, int64_t head) {
    prefetch_.Begin();
    if (head + 1 < count_) {
      return passes_[head + 1]->PrefetchReverse(chunk.begin, chunk.end, block);
    }
    if (block == 0) return;
    passes_[0]->PrefetchReverse(chunk.begin - kChunk, chunk.begin, block - 1);
  }

  const typename Pass::Buffers buffers_;
  ChunkPrefetch prefetch_;
};

template <typename T>
void SummariseBackward(const LinearAttentionGroup<T>& group) {
  BackwardGroup<T, BackwardPass<T>>(group).Summarise();
}

template <typename T>
void Gradients(const LinearAttentionGroup<T>& group) {
  BackwardGroup<T, BackwardPass<T>>(group).Gradients();
}

}  // namespace longspan::kernels::LONGSPAN_ISA
