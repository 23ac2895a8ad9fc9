// Gradients of the delta rule: the walk of linear_attention_vector_backward.h.
// With U, L and N of chunk_solve.h (N = -beta o Y, and R = k S inside it), a
// chunk is O = Q' S + P U, S_end = E S + K'^T U, so that
//
//     dU = P^T dO + K' dS_end        Y from dU, dV = -N, dbeta_t = y_t . z_t
//     dP = lower triangle of dO U^T  dL = strict lower triangle of N U^T
//
// and keys act in two roles: like queries, through L and through R, with N in
// the place of dO and without a scale, and as keys of both:
//
//     dK_query = from o (before o (N S^T) + dL K_earlier) + square
//     dK_key   = to o (after o (U dS_end^T) + dP^T Q_later + dL^T Kq_later)
//                + squares
//     dS <- diag(exp(b_n)) dS + (Q o exp(b))^T dO + (K o exp(b))^T N
//     dlog_gate_t = sum_{s >= t} (q_s o dq_s + k_s o (dK_query - dK_key)_s)
//                   + rowsum(S_end o dS_end)
#pragma once

#include "kernels/cpu/chunk_solve.h"
#include "kernels/cpu/linear_attention_vector_backward.h"

namespace longspan::kernels::LONGSPAN_ISA {

template <typename T>
struct DeltaBackwardBuffers : VectorBackwardBuffers<T> {
  explicit DeltaBackwardBuffers(const LinearAttentionGroup<T>& group)
      : VectorBackwardBuffers<T>(group) {
    const int64_t key_pad = PadToVector(group.heads[0].key_dim);
    const int64_t keys_size = kChunk * key_pad;
    const int64_t values_size = kChunk * PadToVector(group.heads[0].value_dim);
    T* next = this->gates + kGateTableRows * key_pad;
    const auto take = [&](int64_t size) {
      T* begin = next;
      next += size;
      return begin;
    };
    anchored_key_queries = take(keys_size);
    key_queries = take(keys_size);
    start_keys = take(keys_size);
    end_keys = take(keys_size);
    rests = take(values_size);
    d_written = take(values_size);
    negated = take(values_size);
    written_panels = take(values_size);
    negated_panels = take(values_size);
    state = take(group.plan.state_elements);
    key_scores = take(kChunk * kChunk);
    d_key_scores = take(kChunk * kChunk);
  }

  T* written() const { return this->values; }            // U, rows
  T* d_key_queries() const { return this->gate_terms; }  // dK_query

  T* anchored_key_queries;  // (chunk, key_dim) panels
  T* key_queries;           // (chunk, key_dim), decayed from the strip's start
  T* start_keys;            // (chunk, key_dim), from the chunk's start
  T* end_keys;              // (chunk, key_dim), up to the chunk's end
  T* rests;                 // (chunk, value_dim), Z
  T* d_written;             // (chunk, value_dim), dU and then Y
  T* negated;               // (chunk, value_dim), N
  T* written_panels;        // (chunk, value_dim) panels
  T* negated_panels;        // (chunk, value_dim) panels
  T* state;                 // (key_dim, value_dim) panels
  T* key_scores;            // (chunk, chunk), L
  T* d_key_scores;          // (chunk, chunk)
};

// One head's walks; blocks and chunks are given in order by the caller.
template <typename T>
class DeltaBackwardPass : public VectorBackwardPass<T> {
 public:
  using Base = VectorBackwardPass<T>;
  using Sequence = LinearAttentionSequence<T>;
  using Buffers = DeltaBackwardBuffers<T>;

  DeltaBackwardPass(const Sequence& sequence, const Buffers& buffers,
                    const LinearAttentionPlan& plan, ChunkPrefetch& prefetch,
                    T* head_scratch)
      : Base(sequence, buffers, plan, prefetch, head_scratch),
        delta_(buffers) {}

  void AdvanceBlock(const Chunk& chunk, int64_t block_in_group) {
    T* from = states_ + block_in_group * state_size_;
    const bool has_state = Base::HasStateBefore(chunk);
    SetKeys(chunk);
    WriteScores(chunk, /*outputs=*/false);
    Solve(chunk, has_state ? from : nullptr);
    const PanelMatrix<T> keys = Base::AnchoredKeyPanels();
    PackPanels(Rows(delta_.end_keys), chunk.size(), key_pad_,
               static_cast<const T*>(nullptr), keys);
    UpdateStateColumns(ValueRows(delta_.written()), keys, chunk.size(),
                       gates_.total(), has_state ? from : nullptr,
                       Base::TransposedState(from + state_size_));
  }

  void SummariseChunk(const Chunk& chunk) {
    SetKeys(chunk);
    Base::WeightQueries(chunk);
    Base::PackOutputGradients(chunk);
    WriteScores(chunk, /*outputs=*/true);
    SolveBackward(chunk);
    RetreatState(chunk);
  }

  void ReverseChunk(const Chunk& chunk, int64_t block_in_group) {
    T* state = states_ + block_in_group * state_size_;
    const T* end_state = has_d_state_ ? state + state_size_ : nullptr;
    if (!Base::HasStateBefore(chunk)) state = nullptr;
    SetKeys(chunk);
    Base::WeightQueries(chunk);
    Base::PackOutputGradients(chunk);
    WriteScores(chunk, /*outputs=*/true);
    Solve(chunk, state);
    SolveBackward(chunk);
    WriteValueGradients(chunk);
    WriteScoreGradients(chunk);
    if (has_d_state_) {
      TransposePanels(Base::GradientState(),
                      Base::TransposedState(buffers_.d_state_transposed));
    }
    WriteQueryGradients(chunk, state);
    WriteKeyGradients(chunk);
    AddSquares(chunk);
    JoinKeyGradients(chunk, state != nullptr, end_state);
    RetreatState(chunk);
    if (chunk.starts_document) has_d_state_ = false;
  }

 private:
  using Base::buffers_;
  using Base::d_state_;
  using Base::gates_;
  using Base::has_d_state_;
  using Base::key_pad_;
  using Base::s_;
  using Base::scale_;
  using Base::state_size_;
  using Base::states_;
  using Base::value_pad_;

  // (chunk, key_dim) and (chunk, value_dim).
  StridedRows<const T> Rows(const T* data) const { return {data, key_pad_}; }
  StridedRows<const T> ValueRows(const T* data) const {
    return {data, value_pad_};
  }
  StridedRows<const T> ScoreRows(const T* data) const { return {data, kChunk}; }
  PanelMatrix<T> ValuePanels(T* data) const {
    return {data, kChunk, value_pad_};
  }
  PanelMatrix<T> AnchoredKeyQueries() const {
    return {delta_.anchored_key_queries, kChunk, key_pad_};
  }

  // ---- the chunk's forward pass -----------------------------------------

  // Keys in all their anchorings.
  void SetKeys(const Chunk& chunk) {
    const int64_t n = chunk.size();
    const auto k = Base::From(s_.k, chunk.begin);
    gates_.SetChunk(chunk.begin, chunk.end);
    Base::WeightKeys(chunk);
    WeightRows(Base::Keys(), n, key_pad_, T{1}, Base::AfterStrip(),
               delta_.end_keys, key_pad_);
    WeightRows(
        k, n, s_.key_dim, T{1}, [&](int64_t i) { return gates_.from(i); },
        delta_.key_queries, key_pad_);
    WeightRows(Rows(delta_.key_queries), n, key_pad_, T{1}, Base::BeforeStrip(),
               delta_.start_keys, key_pad_);
  }

  // L, and with `outputs` the scores.
  void WriteScores(const Chunk& chunk, bool outputs) const {
    const auto q = Base::From(s_.q, chunk.begin);
    const auto k = Base::From(s_.k, chunk.begin);
    const QueryRole<T> roles[] = {
        {k, Rows(delta_.key_queries), T{1}, delta_.key_scores},
        {q, Base::Queries(), scale_, buffers_.scores}};
    ScoreChunk({k, Base::Keys(), buffers_.keys_transposed}, chunk.size(),
               s_.key_dim, gates_, roles, outputs ? 2 : 1);
  }

  StripSolve<T> SolveOf(const Chunk& chunk, const Strip& strip) const {
    return StripSolve<T>(strip, delta_.key_scores,
                         s_.beta.data + chunk.begin * s_.beta.stride,
                         s_.beta.stride);
  }

  // U and Z from the transposed state before the chunk; null is zero.
  void Solve(const Chunk& chunk, T* state) const {
    const int64_t n = chunk.size();
    const PanelMatrix<T> written = ValuePanels(delta_.written_panels);
    const PanelMatrix<T> before = {delta_.state, key_pad_, value_pad_};
    if (state != nullptr) TransposePanels(Base::TransposedState(state), before);
    for (int64_t s = 0; s < Strip::CountOf(n); ++s) {
      const Strip strip(s, n);
      ForEachPanel<T>(value_pad_, [&](auto nv, int64_t col) {
        const int64_t width = written.Width(col);
        for (int64_t i = strip.first; i < strip.last; i += kTileRows) {
          const T* rows[kTileRows];
          Tile<T, nv.kValue> tile;
          tile.Clear();
          if (state != nullptr) {
            RowPointers(Rows(delta_.start_keys), i, n, rows);
            tile.AddRows(rows, before.Panel(col), width, s_.key_dim);
          }
          RowPointers(ScoreRows(delta_.key_scores), i, kChunk, rows);
          tile.AddRows(rows, written.Panel(col), width, strip.first);
          tile.StoreAll(delta_.rests + i * value_pad_ + col, value_pad_);
        }
      });
      SolveOf(chunk, strip)
          .Forward(Base::From(s_.v, chunk.begin), s_.value_dim, delta_.rests,
                   delta_.written(), value_pad_);
      CopyRowsToPanels(ValueRows(delta_.written()), strip, written);
    }
  }

  // ---- gradients --------------------------------------------------------

  // dU, and Y and N from it.
  void SolveBackward(const Chunk& chunk) const {
    const int64_t n = chunk.size();
    const PanelMatrix<T> negated = ValuePanels(delta_.negated_panels);
    for (int64_t s = Strip::CountOf(n) - 1; s >= 0; --s) {
      const Strip strip(s, n);
      ForEachPanel<T>(value_pad_, [&](auto nv, int64_t col) {
        for (int64_t j = strip.first; j < strip.last; j += kTileRows) {
          WrittenGradientTile<nv.kValue>(n, strip, j, col);
        }
      });
      SolveOf(chunk, strip)
          .Backward(delta_.d_written, delta_.negated, value_pad_);
      CopyRowsToPanels(ValueRows(delta_.negated), strip, negated);
    }
  }

  // dU with L^T N of later strips.
  template <int NV>
  void WrittenGradientTile(int64_t n, const Strip& strip, int64_t j,
                           int64_t col) const {
    const PanelMatrix<T> d_outputs = Base::OutputGradients();
    const int64_t width = d_outputs.Width(col);
    Tile<T, NV> tile;
    tile.Clear();
    if (has_d_state_) {
      const T* rows[kTileRows];
      RowPointers(Rows(delta_.end_keys), j, n, rows);
      tile.AddRows(rows, Base::GradientState().Panel(col), width, s_.key_dim);
    }
    tile.AddColumns(buffers_.scores + j * kChunk + j, kChunk,
                    d_outputs.Panel(col) + j * width, width, n - j);
    tile.AddColumns(
        delta_.key_scores + strip.last * kChunk + j, kChunk,
        ValuePanels(delta_.negated_panels).Panel(col) + strip.last * width,
        width, n - strip.last);
    tile.StoreAll(delta_.d_written + j * value_pad_ + col, value_pad_);
  }

  // dV and dbeta.
  void WriteValueGradients(const Chunk& chunk) const {
    const auto to = Base::To(s_.d_v, chunk.begin);
    for (int64_t i = 0; i < chunk.size(); ++i) {
      const T* negated = delta_.negated + i * value_pad_;
      for (int64_t col = 0; col < s_.value_dim; col += kLanes<T>) {
        StoreFirst(to.Row(i) + col, -Load(negated + col), s_.value_dim - col);
      }
      Vec<T> sum = {};
      for (int64_t col = 0; col < value_pad_; col += kLanes<T>) {
        sum += Load(delta_.d_written + i * value_pad_ + col) *
               Load(delta_.rests + i * value_pad_ + col);
      }
      *Base::To(s_.d_beta, chunk.begin).Row(i) = SumLanes<T>(sum);
    }
  }

  // dP and dL at and below the diagonal's tiles.
  void WriteScoreGradients(const Chunk& chunk) const {
    const int64_t n = chunk.size();
    const PanelMatrix<T> written = {buffers_.values_transposed, value_pad_,
                                    PadToVector(n)};
    PackTransposed(ValueRows(delta_.written()), n, s_.value_dim, written);
    Base::LowerProduct(Base::OutputGradients(), n, written, buffers_.d_scores);
    Base::LowerProduct(ValuePanels(delta_.negated_panels), n, written,
                       delta_.d_key_scores);
  }

  void WriteQueryGradients(const Chunk& chunk, T* state) const {
    const int64_t n = chunk.size();
    const StridedRows<T> d_k = {delta_.d_key_queries(), key_pad_};
    for (int64_t s = 0; s < Strip::CountOf(n); ++s) {
      const Strip strip(s, n);
      ForEachPanel<T>(key_pad_, [&](auto nv, int64_t col) {
        for (int64_t i = strip.first; i < strip.last; i += kTileRows) {
          QueryGradientTile<nv.kValue>(
              Base::From(s_.d_o, chunk.begin), buffers_.d_scores, scale_, strip,
              state, i, col, Base::To(s_.d_q, chunk.begin), s_.key_dim);
          QueryGradientTile<nv.kValue>(ValueRows(delta_.negated),
                                       delta_.d_key_scores, T{1}, strip, state,
                                       i, col, d_k, key_pad_);
        }
      });
      RescalePanelRows(Base::AnchoredKeyPanels(), 0, strip.first,
                       gates_.strip(s));
      CopyRowsToPanels(Base::Keys(), strip, Base::AnchoredKeyPanels());
    }
  }

  // For queries (d_outputs is dO) and for keys in their role (N).
  template <int NV>
  void QueryGradientTile(const StridedRows<const T>& d_outputs,
                         const T* d_scores, T scale, const Strip& strip,
                         T* state, int64_t i, int64_t col,
                         const StridedRows<T>& to, int64_t cols) const {
    const PanelMatrix<T> keys = Base::AnchoredKeyPanels();
    const T* rows[kTileRows];
    Tile<T, NV> tile;
    tile.Clear();
    if (state != nullptr) {
      RowPointers(d_outputs, i, strip.last, rows);
      tile.AddRows(rows, Base::TransposedState(state).Panel(col),
                   keys.Width(col), s_.value_dim);
      tile.ScaleColumns(gates_.before(strip.index) + col);
    }
    RowPointers(ScoreRows(d_scores), i, kChunk, rows);
    tile.AddRows(rows, keys.Panel(col), keys.Width(col), strip.first);
    tile.Weight(gates_.from(i) + col, key_pad_);
    tile.ScaleAll(scale);
    tile.StoreBlock({to.Row(i) + col, to.stride}, strip.last - i, cols - col,
                    false);
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
      const auto add = [&](const StridedRows<const T>& rows,
                           const PanelMatrix<T>& panels) {
        RescalePanelRows(panels, strip.last, n, gates_.strip(s));
        CopyRowsToPanels(rows, strip, panels);
      };
      add(Base::Queries(), Base::AnchoredQueryPanels());
      add(Rows(delta_.key_queries), AnchoredKeyQueries());
    }
  }

  template <int NV>
  void KeyGradientTile(const Chunk& chunk, const Strip& strip, int64_t j,
                       int64_t col) const {
    const int64_t width = AnchoredKeyQueries().Width(col);
    Tile<T, NV> tile;
    tile.Clear();
    if (has_d_state_) {
      const T* rows[kTileRows];
      RowPointers(ValueRows(delta_.written()), j, strip.last, rows);
      tile.AddRows(
          rows, Base::TransposedState(buffers_.d_state_transposed).Panel(col),
          width, s_.value_dim);
      tile.ScaleColumns(gates_.after(strip.index) + col);
    }
    const auto add_later = [&](const T* d_scores, const PanelMatrix<T>& later) {
      tile.AddColumns(d_scores + strip.last * kChunk + j, kChunk,
                      later.Panel(col) + strip.last * width, width,
                      chunk.size() - strip.last);
    };
    add_later(buffers_.d_scores, Base::AnchoredQueryPanels());
    add_later(delta_.d_key_scores, AnchoredKeyQueries());
    tile.Weight(gates_.to(j) + col, key_pad_);
    const StridedRows<T> to = Base::To(s_.d_k, chunk.begin + j);
    tile.StoreBlock({to.data + col, to.stride}, strip.last - j,
                    s_.key_dim - col, false);
  }

  void AddSquares(const Chunk& chunk) const {
    const auto q = Base::From(s_.q, chunk.begin);
    const auto k = Base::From(s_.k, chunk.begin);
    const auto d_k = Base::To(s_.d_k, chunk.begin);
    for (int64_t s = 0; s < Strip::CountOf(chunk.size()); ++s) {
      const Strip strip(s, chunk.size());
      StripSquareGradients<T>(strip, gates_, scale_, buffers_.d_scores)
          .Add(q, k, s_.key_dim, Base::To(s_.d_q, chunk.begin), d_k, nullptr);
      StripSquareGradients<T>(strip, gates_, T{1}, delta_.d_key_scores,
                              /*strict=*/true)
          .Add(k, k, s_.key_dim, {delta_.d_key_queries(), key_pad_}, d_k,
               nullptr);
    }
  }

  // d_k from its two roles, and the gates' gradients from their difference.
  void JoinKeyGradients(const Chunk& chunk, bool has_state,
                        const T* end_state) const {
    Vec<T> token_sums[kChunk] = {};
    for (int64_t col = 0; col < s_.key_dim; col += kLanes<T>) {
      Vec<T> sum = {};
      if (end_state != nullptr && s_.decay != DecayKind::kNone) {
        sum = Base::StateTerm(end_state, col);
      }
      for (int64_t i = chunk.size() - 1; i >= 0; --i) {
        sum += JoinKeyGradient(chunk, i, col);
        // The gates of a token with no state before it multiply zero.
        const Vec<T> value = i == 0 && !has_state ? Vec<T>{} : sum;
        token_sums[i] += value;
        if (s_.decay != DecayKind::kPerChannel) continue;
        T* to = Base::To(s_.d_log_gate, chunk.begin).Row(i) + col;
        StoreFirst(to, value, s_.key_dim - col);
      }
    }
    if (s_.decay != DecayKind::kPerToken) return;
    for (int64_t i = 0; i < chunk.size(); ++i) {
      *Base::To(s_.d_log_gate, chunk.begin).Row(i) = SumLanes<T>(token_sums[i]);
    }
  }

  // q o dq + k o (dK_query - dK_key) of row i.
  Vec<T> JoinKeyGradient(const Chunk& chunk, int64_t i, int64_t col) const {
    const int64_t left = s_.key_dim - col;
    const auto load = [&](const auto& rows) {
      return LoadFirst<T>(rows.Row(i) + col, left);
    };
    const auto q = Base::From(s_.q, chunk.begin);
    const auto k = Base::From(s_.k, chunk.begin);
    const auto d_k = Base::To(s_.d_k, chunk.begin);
    Vec<T> d_key_query = {};
    d_key_query =
        LoadFirst<T>(delta_.d_key_queries() + i * key_pad_ + col, left);
    const Vec<T> d_key = load(d_k);
    StoreFirst(d_k.Row(i) + col, d_key + d_key_query, left);
    return load(q) * load(Base::To(s_.d_q, chunk.begin)) +
           load(k) * (d_key_query - d_key);
  }

  void RetreatState(const Chunk& chunk) {
    Base::RetreatState(chunk);
    UpdateState(Rows(delta_.start_keys), ValuePanels(delta_.negated_panels),
                chunk.size(), T{1}, d_state_, Base::GradientState());
  }

  const Buffers& delta_;
};

template <typename T>
using DeltaBackwardGroup = BackwardGroup<T, DeltaBackwardPass<T>>;

template <typename T>
void DeltaSummariseBackward(const LinearAttentionGroup<T>& group) {
  DeltaBackwardGroup<T>(group).Summarise();
}

template <typename T>
void DeltaGradients(const LinearAttentionGroup<T>& group) {
  DeltaBackwardGroup<T>(group).Gradients();
}

}  // namespace longspan::kernels::LONGSPAN_ISA
