// Gradients with a decay per channel: the walk of linear_attention_backward.h,
// and in a chunk, strip by strip (see chunk_strip.h), with dP = lower triangle
// of dO V^T,
//
//     dQ = scale * from o (before o (dO S^T) + dP K_earlier) + square
//     dK = to o (after o (V dS^T) + dP^T Q_later) + square
//     dV = (K o exp(b_n - b)) dS + P^T dO
//     dS <- diag(exp(b_n)) dS + (Q o exp(b))^T dO
//     dlog_gate_t = sum_{s >= t} (q_s o dq_s - k_s o dk_s) + rowsum(S_end o
//                   dS_end)
//
// K_earlier are keys of earlier strips decayed up to the strip's start,
// Q_later (with the scale) queries of later strips decayed from its end; both
// are kept as panels and rescaled as the strips advance. "square" is what pairs
// inside a strip add. S is kept transposed.
#pragma once

#include "kernels/cpu/chunk_strip.h"
#include "kernels/cpu/linear_attention_backward.h"

namespace longspan::kernels::LONGSPAN_ISA {

template <typename T>
struct VectorBackwardBuffers {
  explicit VectorBackwardBuffers(const LinearAttentionGroup<T>& group) {
    const int64_t keys_size = kChunk * PadToVector(group.heads[0].key_dim);
    const int64_t values_size = kChunk * PadToVector(group.heads[0].value_dim);
    T* next = group.scratch;
    const auto take = [&](int64_t size) {
      T* begin = next;
      next += size;
      return begin;
    };
    keys_transposed = take(keys_size);
    anchored_keys = take(keys_size);
    anchored_queries = take(keys_size);
    keys = take(keys_size);
    queries = take(keys_size);
    gate_terms = take(keys_size);
    values_transposed = take(values_size);
    values = take(values_size);
    d_outputs = take(values_size);
    d_state_transposed = take(group.plan.state_elements);
    scores = take(kChunk * kChunk);
    d_scores = take(kChunk * kChunk);
    gates = next;
  }

  T* keys_transposed;     // (key_dim, chunk) panels
  T* anchored_keys;       // (chunk, key_dim) panels
  T* anchored_queries;    // (chunk, key_dim) panels
  T* keys;                // (chunk, key_dim)
  T* queries;             // (chunk, key_dim)
  T* gate_terms;          // (chunk, key_dim)
  T* values_transposed;   // (value_dim, chunk) panels
  T* values;              // (chunk, value_dim) panels
  T* d_outputs;           // (chunk, value_dim) panels
  T* d_state_transposed;  // (value_dim, key_dim) panels
  T* scores;              // (chunk, chunk)
  T* d_scores;            // (chunk, chunk)
  T* gates;               // tables of ChunkGates
};

// What the pairs of one strip add to d_q and d_k, and their scores: rows of the
// chunk, `d_scores` rows kChunk apart. A token pairs with itself unless
// `strict`.
template <typename T>
class StripSquareGradients {
 public:
  StripSquareGradients(const Strip& strip, const ChunkGates<T>& gates, T scale,
                       const T* d_scores, bool strict = false)
      : strip_(strip),
        gates_(gates),
        scale_(scale),
        d_scores_(d_scores),
        strict_(strict) {}

  // `scores` may be null.
  void Add(const StridedRows<const T>& q, const StridedRows<const T>& k,
           int64_t key_dim, const StridedRows<T>& d_q,
           const StridedRows<T>& d_k, T* scores) const {
    StripSums<T> sums;
    for (int64_t col = 0; col < key_dim; col += kLanes<T>) {
      AddColumns(q, k, col, key_dim - col, d_q, d_k, sums);
    }
    if (scores == nullptr) return;
    sums.Write(scale_, scores + strip_.first * kChunk + strip_.first);
  }

 private:
  // kLanes channels from `col` on, of which `left` exist.
  void AddColumns(const StridedRows<const T>& q, const StridedRows<const T>& k,
                  int64_t col, int64_t left, const StridedRows<T>& d_q,
                  const StridedRows<T>& d_k, StripSums<T>& sums) const {
    const int64_t rows = strip_.last - strip_.first;
    Vec<T> queries[kStrip];
    Vec<T> factors[kStrip];
    Vec<T> d_queries[kStrip];
    for (int64_t i = 0; i < rows; ++i) {
      const int64_t row = strip_.first + i;
      queries[i] = LoadFirst(q.Row(row) + col, left);
      factors[i] = Load(gates_.gate(row) + col);
      d_queries[i] = LoadFirst<T>(d_q.Row(row) + col, left);
    }
    for (int64_t j = 0; j < rows; ++j) {
      const int64_t row = strip_.first + j;
      const T* d_scores = d_scores_ + strip_.first * kChunk + row;
      const Vec<T> key = LoadFirst(k.Row(row) + col, left);
      Vec<T> weight = Splat(T{1});
      Vec<T> d_key = {};
      for (int64_t i = strict_ ? j + 1 : j; i < rows; ++i) {
        if (i > j) weight *= factors[i];
        const T d_score = scale_ * d_scores[i * kChunk];
        const Vec<T> query = queries[i] * weight;
        sums.pairs[i * kStrip + j] += query * key;
        d_key += d_score * query;
        d_queries[i] += d_score * (weight * key);
      }
      T* to = d_k.Row(row) + col;
      StoreFirst(to, LoadFirst<T>(to, left) + d_key, left);
    }
    for (int64_t i = 0; i < rows; ++i) {
      StoreFirst(d_q.Row(strip_.first + i) + col, d_queries[i], left);
    }
  }

  const Strip& strip_;
  const ChunkGates<T>& gates_;
  const T scale_;
  const T* const d_scores_;
  const bool strict_;
};

// One head's walks; blocks and chunks are given in order by the caller.
template <typename T>
class VectorBackwardPass : public BackwardStates<T> {
 public:
  using Base = BackwardStates<T>;
  using Sequence = LinearAttentionSequence<T>;
  using Buffers = VectorBackwardBuffers<T>;

  VectorBackwardPass(const Sequence& sequence, const Buffers& buffers,
                     const LinearAttentionPlan& plan, ChunkPrefetch& prefetch,
                     T* head_scratch)
      : Base(sequence, plan, prefetch, head_scratch,
             head_scratch + plan.state_elements, buffers.d_outputs),
        buffers_(buffers),
        scale_(static_cast<T>(sequence.scale)),
        gates_(sequence, buffers.gates) {}

  void AdvanceBlock(const Chunk& chunk, int64_t block_in_group) {
    const int64_t n = chunk.size();
    const PanelMatrix<T> keys = AnchoredKeyPanels();
    T* from = states_ + block_in_group * state_size_;
    gates_.SetChunk(chunk.begin, chunk.end);
    WeightKeys(chunk);
    RescaleRows(n, AfterStrip(), buffers_.keys, key_pad_);
    PackPanels(Keys(), n, key_pad_, static_cast<const T*>(nullptr), keys);
    PackValues(chunk);
    UpdateStateColumns(Values(), keys, n, gates_.total(),
                       Base::HasStateBefore(chunk) ? from : nullptr,
                       Base::TransposedState(from + state_size_),
                       Base::Between());
  }

  void SummariseChunk(const Chunk& chunk) {
    gates_.SetChunk(chunk.begin, chunk.end);
    Base::PackOutputGradients(chunk);
    WeightQueries(chunk);
    RetreatState(chunk);
  }

  // ---- the reverse sweep ------------------------------------------------

  void ReverseChunk(const Chunk& chunk, int64_t block_in_group) {
    T* state = states_ + block_in_group * state_size_;
    const T* end_state = state + state_size_;
    const bool has_state = Base::HasStateBefore(chunk);
    gates_.SetChunk(chunk.begin, chunk.end);
    Base::PackOutputGradients(chunk);
    PackValues(chunk);
    WeightQueries(chunk);
    WeightKeys(chunk);
    if (s_.intra) {
      WriteScores(chunk);
      WriteScoreGradients(chunk);
    } else {
      KeepGateTerms(chunk);
    }
    if (has_d_state_) {
      TransposePanels(Base::GradientState(),
                      Base::TransposedState(buffers_.d_state_transposed));
    }
    if (s_.intra || has_state) {
      WriteQueryGradients(chunk, has_state ? state : nullptr);
    }
    if (s_.intra || has_d_state_) WriteKeyGradients(chunk);
    if (s_.intra) AddSquares(chunk);
    if (s_.intra || has_d_state_) WriteValueGradients(chunk);
    WriteGateGradients(chunk, has_state, has_d_state_ ? end_state : nullptr);
    if (s_.inter) RetreatState(chunk);
    if (chunk.starts_document) has_d_state_ = false;
  }

 protected:
  using Base::d_state_;
  using Base::has_d_state_;
  using Base::key_pad_;
  using Base::s_;
  using Base::state_size_;
  using Base::states_;
  using Base::value_pad_;

  PanelMatrix<T> AnchoredKeyPanels() const {
    return {buffers_.anchored_keys, kChunk, key_pad_};
  }
  PanelMatrix<T> AnchoredQueryPanels() const {
    return {buffers_.anchored_queries, kChunk, key_pad_};
  }
  StridedRows<const T> Queries() const { return {buffers_.queries, key_pad_}; }
  StridedRows<const T> Keys() const { return {buffers_.keys, key_pad_}; }
  auto BeforeStrip() const {
    return [this](int64_t i) { return gates_.before(i / kStrip); };
  }
  auto AfterStrip() const {
    return [this](int64_t i) { return gates_.after(i / kStrip); };
  }

  PanelMatrix<T> Values() const {
    return {buffers_.values, kChunk, value_pad_};
  }

  // ---- packing ----------------------------------------------------------

  void PackValues(const Chunk& chunk) {
    PackPanels(Base::From(s_.v, chunk.begin), chunk.size(), s_.value_dim,
               static_cast<const T*>(nullptr), Values());
  }

  // scale * q decayed from the start of its strip.
  void WeightQueries(const Chunk& chunk) {
    WeightRows(
        Base::From(s_.q, chunk.begin), chunk.size(), s_.key_dim, scale_,
        [&](int64_t i) { return gates_.from(i); }, buffers_.queries, key_pad_);
  }

  // k decayed up to the end of its strip.
  void WeightKeys(const Chunk& chunk) {
    WeightRows(
        Base::From(s_.k, chunk.begin), chunk.size(), s_.key_dim, T{1},
        [&](int64_t i) { return gates_.to(i); }, buffers_.keys, key_pad_);
  }

  // The scores between strips; AddSquares writes those inside.
  void WriteScores(const Chunk& chunk) const {
    const AnchoredKeys<T> anchored(buffers_.keys_transposed, s_.key_dim);
    const int64_t strips = Strip::CountOf(chunk.size());
    for (int64_t s = 0; s < strips; ++s) {
      const Strip strip(s, chunk.size());
      anchored.Scores(Queries(), strip, buffers_.scores);
      if (s + 1 < strips) anchored.Advance(Keys(), strip, gates_.strip(s));
    }
  }

  // dO V^T at and below the diagonal's tiles.
  void WriteScoreGradients(const Chunk& chunk) const {
    const int64_t n = chunk.size();
    const PanelMatrix<T> values = {buffers_.values_transposed, value_pad_,
                                   PadToVector(n)};
    PackTransposed(Base::From(s_.v, chunk.begin), n, s_.value_dim, values);
    LowerProduct(Base::OutputGradients(), n, values, buffers_.d_scores);
  }

  // to = rows transposed, for the tiles that touch the lower triangle.
  void LowerProduct(const PanelMatrix<T>& rows, int64_t n,
                    const PanelMatrix<T>& transposed, T* to) const {
    for (int64_t i = 0; i < n; i += kTileRows) {
      ForEachPanel<T>(transposed.cols, [&](auto nv, int64_t col) {
        if (col >= i + kTileRows) return;
        Tile<T, nv.kValue> tile;
        tile.Clear();
        tile.AddPanelRows(rows, i, transposed.Panel(col), tile.kPanelStride,
                          Base::Between());
        tile.StoreAll(to + i * kChunk + col, kChunk);
      });
    }
  }

  // ---- gradients of the operands ----------------------------------------

  void WriteQueryGradients(const Chunk& chunk, T* state) const {
    const int64_t strips = Strip::CountOf(chunk.size());
    for (int64_t s = 0; s < strips; ++s) {
      const Strip strip(s, chunk.size());
      ForEachPanel<T>(key_pad_, [&](auto nv, int64_t col) {
        for (int64_t i = strip.first; i < strip.last; i += kTileRows) {
          QueryGradientTile<nv.kValue>(chunk, strip, state, i, col);
        }
      });
      if (!s_.intra) continue;
      RescalePanelRows(AnchoredKeyPanels(), 0, strip.first, gates_.strip(s));
      CopyRowsToPanels(Keys(), strip, AnchoredKeyPanels());
    }
  }

  template <int NV>
  void QueryGradientTile(const Chunk& chunk, const Strip& strip, T* state,
                         int64_t i, int64_t col) const {
    Tile<T, NV> tile;
    tile.Clear();
    if (state != nullptr) {
      tile.AddPanelRows(Base::OutputGradients(), i,
                        Base::TransposedState(state).Panel(col),
                        tile.kPanelStride, Base::Between());
      tile.ScaleColumns(gates_.before(strip.index) + col);
    }
    if (s_.intra) {
      const T* rows[kTileRows];
      RowPointers(StridedRows<const T>{buffers_.d_scores, kChunk}, i, kChunk,
                  rows);
      tile.AddRows(rows, AnchoredKeyPanels().Panel(col), tile.kPanelStride,
                   strip.first);
    }
    tile.Weight(gates_.from(i) + col, key_pad_);
    tile.ScaleAll(scale_);
    StridedRows<T> to = Base::To(s_.d_q, chunk.begin + i);
    to.data += col;
    tile.StoreBlock(to, strip.last - i, s_.key_dim - col, !s_.intra);
  }

  void WriteKeyGradients(const Chunk& chunk) const {
    const int64_t n = chunk.size();
    for (int64_t s = Strip::CountOf(n) - 1; s >= 0; --s) {
      const Strip strip(s, n);
      ForEachPanel<T>(key_pad_, [&](auto nv, int64_t col) {
        for (int64_t j = strip.first; j < strip.last; j += kTileRows) {
          KeyGradientTile<nv.kValue>(chunk, strip, j, col);
        }
      });
      if (!s_.intra) continue;
      RescalePanelRows(AnchoredQueryPanels(), strip.last, n, gates_.strip(s));
      CopyRowsToPanels(Queries(), strip, AnchoredQueryPanels());
    }
  }

  template <int NV>
  void KeyGradientTile(const Chunk& chunk, const Strip& strip, int64_t j,
                       int64_t col) const {
    Tile<T, NV> tile;
    tile.Clear();
    if (has_d_state_) {
      tile.AddPanelRows(
          Values(), j,
          Base::TransposedState(buffers_.d_state_transposed).Panel(col),
          tile.kPanelStride, Base::Between());
      tile.ScaleColumns(gates_.after(strip.index) + col);
    }
    if (s_.intra) {
      tile.AddColumns(
          buffers_.d_scores + strip.last * kChunk + j, kChunk,
          AnchoredQueryPanels().Panel(col) + strip.last * tile.kPanelStride,
          tile.kPanelStride, chunk.size() - strip.last);
    }
    tile.Weight(gates_.to(j) + col, key_pad_);
    StridedRows<T> to = Base::To(s_.d_k, chunk.begin + j);
    to.data += col;
    tile.StoreBlock(to, strip.last - j, s_.key_dim - col, !s_.intra);
  }

  void AddSquares(const Chunk& chunk) const {
    const int64_t strips = Strip::CountOf(chunk.size());
    for (int64_t s = 0; s < strips; ++s) {
      const Strip strip(s, chunk.size());
      StripSquareGradients<T>(strip, gates_, scale_, buffers_.d_scores)
          .Add(Base::From(s_.q, chunk.begin), Base::From(s_.k, chunk.begin),
               s_.key_dim, Base::To(s_.d_q, chunk.begin),
               Base::To(s_.d_k, chunk.begin), buffers_.scores);
    }
  }

  void WriteValueGradients(const Chunk& chunk) const {
    const int64_t n = chunk.size();
    const bool streams = Base::Streams(s_.d_v);
    RescaleRows(n, AfterStrip(), buffers_.keys, key_pad_);
    ForEachPanel<T>(value_pad_, [&](auto nv, int64_t col) {
      for (int64_t j = 0; j < n; j += kTileRows) {
        Tile<T, nv.kValue> tile;
        tile.Clear();
        if (has_d_state_) {
          const T* rows[kTileRows];
          RowPointers(Keys(), j, n, rows);
          tile.AddRows(rows, Base::GradientState().Panel(col),
                       tile.kPanelStride, s_.key_dim, Base::Between());
        }
        if (s_.intra) {
          tile.AddColumns(
              buffers_.scores + j * kChunk + j, kChunk,
              Base::OutputGradients().Panel(col) + j * tile.kPanelStride,
              tile.kPanelStride, n - j);
        }
        StridedRows<T> to = Base::To(s_.d_v, chunk.begin + j);
        to.data += col;
        tile.StoreBlock(to, n - j, s_.value_dim - col, !s_.intra, streams);
      }
    });
  }

  void RetreatState(const Chunk& chunk) {
    RescaleRows(chunk.size(), BeforeStrip(), buffers_.queries, key_pad_);
    UpdateStateRows(Queries(), Base::OutputGradients(), chunk.size(),
                    gates_.total(), has_d_state_ ? d_state_ : nullptr,
                    Base::GradientState(), Base::Between());
    has_d_state_ = true;
  }

  // ---- gates ------------------------------------------------------------

  // q_i o dq_i - k_i o dk_i with what is written so far.
  Vec<T> GateTerm(const Chunk& chunk, int64_t i, int64_t col) const {
    const int64_t left = s_.key_dim - col;
    const auto load = [&](const auto& rows) {
      return LoadFirst<T>(rows.Row(i) + col, left);
    };
    return load(Base::From(s_.q, chunk.begin)) *
               load(Base::To(s_.d_q, chunk.begin)) -
           load(Base::From(s_.k, chunk.begin)) *
               load(Base::To(s_.d_k, chunk.begin));
  }

  void KeepGateTerms(const Chunk& chunk) const {
    for (int64_t i = 0; i < chunk.size(); ++i) {
      for (int64_t col = 0; col < s_.key_dim; col += kLanes<T>) {
        Store(buffers_.gate_terms + i * key_pad_ + col,
              GateTerm(chunk, i, col));
      }
    }
  }

  // rowsum(S o dS) of the rows from `col` on; both are transposed.
  Vec<T> StateTerm(const T* end_state, int64_t col) const {
    const int64_t panel = col / kPanelLanes<T> * kPanelLanes<T>;
    const int64_t width = Base::TransposedState(d_state_).Width(panel);
    const int64_t offset = panel * value_pad_ + (col - panel);
    const T* state = end_state + offset;
    const T* d_state = buffers_.d_state_transposed + offset;
    Vec<T> sums[2] = {};
    for (int64_t e = 0; e < value_pad_; e += 2) {
      for (int64_t j = 0; j < 2; ++j) {
        sums[j] +=
            Load(state + (e + j) * width) * Load(d_state + (e + j) * width);
      }
    }
    return sums[0] + sums[1];
  }

  // `end_state` null stands for a product of zero.
  void WriteGateGradients(const Chunk& chunk, bool has_state,
                          const T* end_state) const {
    const auto to = Base::To(s_.d_log_gate, chunk.begin);
    alignas(64) T sums[kMaxKeyDim];
    for (int64_t col = 0; col < s_.key_dim; col += kLanes<T>) {
      Store(sums + col,
            end_state == nullptr ? Vec<T>{} : StateTerm(end_state, col));
    }
    for (int64_t i = chunk.size() - 1; i >= 0; --i) {
      for (int64_t col = 0; col < s_.key_dim; col += kLanes<T>) {
        const int64_t left = s_.key_dim - col;
        Vec<T> sum = Load(sums + col) + GateTerm(chunk, i, col);
        if (!s_.intra) sum -= Load(buffers_.gate_terms + i * key_pad_ + col);
        Store(sums + col, sum);
        // The gates of a token with no state before it multiply zero.
        Vec<T> value = i == 0 && !has_state ? Vec<T>{} : sum;
        if (!s_.intra) value += LoadFirst<T>(to.Row(i) + col, left);
        StoreFirst(to.Row(i) + col, value, left);
      }
    }
  }

  const Buffers& buffers_;
  const T scale_;
  ChunkGates<T> gates_;
};

template <typename T>
using VectorBackwardGroup = BackwardGroup<T, VectorBackwardPass<T>>;

template <typename T>
void VectorSummariseBackward(const LinearAttentionGroup<T>& group) {
  VectorBackwardGroup<T>(group).Summarise();
}

template <typename T>
void VectorGradients(const LinearAttentionGroup<T>& group) {
  VectorBackwardGroup<T>(group).Gradients();
}

}  // namespace longspan::kernels::LONGSPAN_ISA
