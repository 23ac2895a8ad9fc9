// Summaries, outputs and decoding of the delta rule: the walk and the chunk of
// linear_attention_vector_forward.h, with what tokens write, U of
// chunk_solve.h, in the place of V. All its decays run as decays per channel.
#pragma once

#include "kernels/cpu/chunk_solve.h"
#include "kernels/cpu/linear_attention_vector_forward.h"

namespace longspan::kernels::LONGSPAN_ISA {

template <typename T>
struct DeltaForwardBuffers : VectorForwardBuffers<T> {
  explicit DeltaForwardBuffers(const LinearAttentionGroup<T>& group)
      : VectorForwardBuffers<T>(group) {
    const int64_t key_pad = PadToVector(group.heads[0].key_dim);
    const int64_t value_pad = PadToVector(group.heads[0].value_dim);
    key_queries = this->gates + kGateTableRows * key_pad;
    rests = key_queries + kChunk * key_pad;
    written = rests + kChunk * value_pad;
    key_scores = written + kChunk * value_pad;
  }

  T* key_queries;  // (chunk, key_dim), keys in the role of queries
  T* rests;        // (chunk, value_dim)
  T* written;      // (chunk, value_dim)
  T* key_scores;   // (chunk, chunk)
};

// One head's walk; chunks are given in order by the caller.
template <typename T>
class DeltaForwardPass : public VectorForwardPass<T> {
 public:
  using Base = VectorForwardPass<T>;
  using Sequence = LinearAttentionSequence<T>;
  using Buffers = DeltaForwardBuffers<T>;

  DeltaForwardPass(const Sequence& sequence, const Buffers& buffers,
                   ChunkPrefetch& prefetch, T* head_scratch)
      : Base(sequence, buffers, prefetch, head_scratch), delta_(buffers) {}

  // The state before the first chunk is the identity matrix.
  void LoadUnitState() {
    FillZero(state_, key_pad_ * value_pad_);
    for (int64_t c = 0; c < s_.key_dim; ++c) {
      const int64_t panel = c / kPanelLanes<T> * kPanelLanes<T>;
      Base::State().Panel(panel)[c * Base::State().Width(panel) + c - panel] =
          T{1};
    }
    has_state_ = true;
  }

  void OutputChunk(const Chunk& chunk) {
    if (chunk.starts_document) has_state_ = false;
    Base::SetKeys(chunk);
    Base::SetQueries(chunk);
    WriteScores(chunk, /*outputs=*/true);
    if (has_state_) Rescale(chunk, buffers_.queries);
    Solve(chunk);
    Base::WriteOutputs(chunk);
    if (Base::NeedsStateAfter(chunk)) Base::AdvanceState(chunk);
  }

  void SummariseChunk(const Chunk& chunk) {
    Base::SetKeys(chunk);
    WriteScores(chunk, /*outputs=*/false);
    Solve(chunk);
    Base::AdvanceState(chunk);
  }

 private:
  using Base::buffers_;
  using Base::gates_;
  using Base::has_state_;
  using Base::key_pad_;
  using Base::s_;
  using Base::state_;
  using Base::value_pad_;

  StridedRows<const T> KeyQueries() const {
    return {delta_.key_queries, key_pad_};
  }

  void Rescale(const Chunk& chunk, T* rows) const {
    RescaleRows(
        chunk.size(), [&](int64_t i) { return gates_.before(i / kStrip); },
        rows, key_pad_);
  }

  // L, and with `outputs` the scores.
  void WriteScores(const Chunk& chunk, bool outputs) const {
    const auto q = Base::From(s_.q, chunk.begin);
    const auto k = Base::From(s_.k, chunk.begin);
    WeightRows(
        k, chunk.size(), s_.key_dim, T{1},
        [&](int64_t i) { return gates_.from(i); }, delta_.key_queries,
        key_pad_);
    const QueryRole<T> roles[] = {
        {k, KeyQueries(), T{1}, delta_.key_scores},
        {q, Base::Queries(), static_cast<T>(s_.scale), buffers_.scores}};
    ScoreChunk({k, Base::Keys(), buffers_.keys_transposed}, chunk.size(),
               s_.key_dim, gates_, roles, outputs ? 2 : 1);
  }

  // U as packed values.
  void Solve(const Chunk& chunk) const {
    if (has_state_) Rescale(chunk, delta_.key_queries);
    const int64_t strips = Strip::CountOf(chunk.size());
    for (int64_t s = 0; s < strips; ++s) {
      const Strip strip(s, chunk.size());
      WriteRests(strip);
      StripSolve<T>(strip, delta_.key_scores,
                    s_.beta.data + chunk.begin * s_.beta.stride, s_.beta.stride)
          .Forward(Base::From(s_.v, chunk.begin), s_.value_dim, delta_.rests,
                   delta_.written, value_pad_);
      CopyRowsToPanels({delta_.written, value_pad_}, strip, Base::Values());
    }
  }

  // k S and what earlier strips wrote.
  void WriteRests(const Strip& strip) const {
    ForEachPanel<T>(value_pad_, [&](auto nv, int64_t col) {
      const int64_t width = Base::Values().Width(col);
      for (int64_t i = strip.first; i < strip.last; i += kTileRows) {
        const T* rows[kTileRows];
        Tile<T, nv.kValue> tile;
        tile.Clear();
        if (has_state_) {
          RowPointers(KeyQueries(), i, strip.last, rows);
          tile.AddRows(rows, Base::State().Panel(col), width, s_.key_dim);
        }
        RowPointers(StridedRows<const T>{delta_.key_scores, kChunk}, i, kChunk,
                    rows);
        tile.AddRows(rows, Base::Values().Panel(col), width, strip.first);
        tile.StoreAll(delta_.rests + i * value_pad_ + col, value_pad_);
      }
    });
  }

  const Buffers& delta_;
};

template <typename T>
using DeltaForwardGroup = ForwardGroup<T, DeltaForwardPass<T>>;

// The transition is what the range makes of the unit matrix, with values of
// zero.
template <typename T>
void DeltaSummarise(LinearAttentionGroup<T>& group) {
  DeltaForwardGroup<T>(group).Summarise();
  for (int64_t h = 0; h < group.count; ++h) {
    LinearAttentionSequence<T>& s = group.heads[h];
    s.v = {};
    s.value_dim = s.key_dim;
    s.final_state = s.transition;
  }
  DeltaForwardGroup<T> forward(group);
  if (group.heads[0].document_count == 0) {
    forward.ForEachPass([](auto& pass) { pass.LoadUnitState(); });
  }
  forward.Summarise();
}

template <typename T>
void DeltaOutputs(const LinearAttentionGroup<T>& group) {
  DeltaForwardGroup<T>(group).Outputs(true);
}

// One step of the recurrence on kLanes columns of a state in plain rows.
template <typename T>
LONGSPAN_INLINE void DeltaDecodeColumns(const LinearAttentionSequence<T>& s,
                                        int64_t t, int64_t col,
                                        const T* decays) {
  const T* q = s.q.data + t * s.q.stride;
  const T* k = s.k.data + t * s.k.stride;
  const int64_t left = s.value_dim - col;
  Vec<T> read = {};
  for (int64_t c = 0; c < s.key_dim; ++c) {
    const T* row = s.final_state.data + c * s.final_state.stride + col;
    read += k[c] * decays[c] * LoadFirst(row, left);
  }
  const Vec<T> value = LoadFirst(s.v.data + t * s.v.stride + col, left);
  const Vec<T> written = s.beta.data[t * s.beta.stride] * (value - read);
  Vec<T> sum = {};
  for (int64_t c = 0; c < s.key_dim; ++c) {
    T* row = s.final_state.data + c * s.final_state.stride + col;
    const Vec<T> state = decays[c] * LoadFirst<T>(row, left) + k[c] * written;
    StoreFirst(row, state, left);
    sum += q[c] * state;
  }
  StoreFirst(s.o.data + t * s.o.stride + col, static_cast<T>(s.scale) * sum,
             left);
}

template <typename T>
void DeltaDecode(const LinearAttentionSequence<T>& s) {
  alignas(64) T decays[kMaxKeyDim];
  for (int64_t t = 0; t < s.tokens; ++t) {
    const T* gates = s.log_gate.data + t * s.log_gate.stride;
    for (int64_t c = 0; c < s.key_dim; c += kLanes<T>) {
      Vec<T> log_gate = {};
      if (s.decay == DecayKind::kPerToken) log_gate = Splat(*gates);
      if (s.decay == DecayKind::kPerChannel) {
        log_gate = LoadFirst(gates + c, s.key_dim - c);
      }
      Store(decays + c, Exp<T>(log_gate));
    }
    for (int64_t col = 0; col < s.value_dim; col += kLanes<T>) {
      DeltaDecodeColumns(s, t, col, decays);
    }
  }
}

}  // namespace longspan::kernels::LONGSPAN_ISA
