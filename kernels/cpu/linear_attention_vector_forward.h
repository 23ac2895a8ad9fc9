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
class VectorForwardPass : public ForwardState<T> {
 public:
  using Base = ForwardState<T>;
  using Sequence = LinearAttentionSequence<T>;
  using Buffers = VectorForwardBuffers<T>;

  VectorForwardPass(const Sequence& sequence, const Buffers& buffers,
                    ChunkPrefetch& prefetch, T* head_scratch)
      : Base(sequence, prefetch, head_scratch, buffers.values),
        buffers_(buffers),
        log_decay_sums_(
            reinterpret_cast<double*>(state_ + key_pad_ * value_pad_)),
        gates_(sequence, buffers.gates) {}

  // Of a walk that summarises; others have no room for the sums.
  void ClearLogDecaySums() {
    for (int64_t c = 0; c < key_pad_; ++c) log_decay_sums_[c] = 0.0;
  }

  void OutputChunk(const Chunk& chunk) {
    if (chunk.starts_document) has_state_ = false;
    SetKeys(chunk);
    Base::PackValues(chunk);
    SetQueries(chunk);
    if (s_.intra) WriteScores(chunk);
    if (has_state_) {
      RescaleRows(
          chunk.size(), [&](int64_t i) { return gates_.before(i / kStrip); },
          buffers_.queries, key_pad_);
    }
    if (s_.intra || has_state_) WriteOutputs(chunk);
    if (s_.inter && Base::NeedsStateAfter(chunk)) AdvanceState(chunk);
  }

  void SummariseChunk(const Chunk& chunk) {
    SetKeys(chunk);
    Base::PackValues(chunk);
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
  using Base::has_state_;
  using Base::key_pad_;
  using Base::s_;
  using Base::state_;
  using Base::value_pad_;

  StridedRows<const T> Queries() const { return {buffers_.queries, key_pad_}; }
  StridedRows<const T> Keys() const { return {buffers_.keys, key_pad_}; }

  // Gates, and keys decayed up to the ends of their strips.
  void SetKeys(const Chunk& chunk) {
    gates_.SetChunk(chunk.begin, chunk.end);
    WeightRows(
        Base::From(s_.k, chunk.begin), chunk.size(), s_.key_dim, T{1},
        [&](int64_t i) { return gates_.to(i); }, buffers_.keys, key_pad_);
  }

  // scale * q decayed from the starts of their strips.
  void SetQueries(const Chunk& chunk) const {
    WeightRows(
        Base::From(s_.q, chunk.begin), chunk.size(), s_.key_dim,
        static_cast<T>(s_.scale), [&](int64_t i) { return gates_.from(i); },
        buffers_.queries, key_pad_);
  }

  void WriteScores(const Chunk& chunk) const {
    const QueryRole<T> queries = {Base::From(s_.q, chunk.begin), Queries(),
                                  static_cast<T>(s_.scale), buffers_.scores};
    ScoreChunk(
        {Base::From(s_.k, chunk.begin), Keys(), buffers_.keys_transposed},
        chunk.size(), s_.key_dim, gates_, &queries, 1);
  }

  void WriteOutputs(const Chunk& chunk) const {
    Base::WriteOutputTiles(
        chunk, buffers_.scores, [&](auto& tile, int64_t i, int64_t col) {
          if (!has_state_) return;
          const T* rows[kTileRows];
          RowPointers(Queries(), i, chunk.size(), rows);
          tile.AddRows(rows, Base::State().Panel(col), tile.kPanelStride,
                       s_.key_dim, Base::Between());
        });
  }

  void AdvanceState(const Chunk& chunk) {
    RescaleRows(
        chunk.size(), [&](int64_t i) { return gates_.after(i / kStrip); },
        buffers_.keys, key_pad_);
    UpdateStateRows(Keys(), Base::Values(), chunk.size(), gates_.total(),
                    has_state_ ? state_ : nullptr, Base::State(),
                    Base::Between());
    has_state_ = true;
  }

  const Buffers& buffers_;
  double* const log_decay_sums_;
  ChunkGates<T> gates_;
};

template <typename T>
using VectorForwardGroup = ForwardGroup<T, VectorForwardPass<T>>;

template <typename T>
void VectorSummarise(LinearAttentionGroup<T>& group) {
  VectorForwardGroup<T> forward(group);
  forward.ForEachPass([](auto& pass) { pass.ClearLogDecaySums(); });
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
