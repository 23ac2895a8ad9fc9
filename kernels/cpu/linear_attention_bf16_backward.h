// Gradients of a group of heads with bf16 operands. A forward sweep recomputes
// the state S at every block start; a reverse sweep then carries dS, the
// gradient of the state at the end of the chunk, and writes each gradient once,
// in products of tiles (bf16_tile.h):
//
//     P = weights o (Q K^T)              dP = weights o (dO V^T)
//     dQ = (from_start o dO) S^T + dP K
//     dK = (to_end o V) dS^T + dP^T Q
//     dV = (to_end o K) dS + P^T dO
//     dS <- total * dS + (from_start o Q)^T dO
//     dlog_gate_t = sum_{s >= t} (q_s . dq_s - k_s . dk_s) + B
//
// where the sum runs over the chunk and B = <S_end, dS_end> is the boundary
// term, without which gates forget what follows the chunk. Its parts
//
//     B = sum_s k_s . (to_end_s v_s) dS^T + total <S_begin, dS_end>
//
// are summed as such, because the first cancels against the same terms of
// k_s . dk_s: of these, rounded operands may leave no remainder.
// S is kept transposed, because dO S^T needs its rows as columns.
#pragma once

#include <optional>

#include "kernels/cpu/head_group.h"
#include "kernels/cpu/linear_attention_bf16_chunk.h"

namespace longspan::kernels::LONGSPAN_ISA {

// Operands of the chunk and head at work.
struct Bf16BackwardBuffers {
  Bf16BackwardBuffers(BFloat16* scratch, int64_t keys, int64_t values) {
    ScratchCutter cut(scratch);
    for (BFloat16** rows : {&queries, &keys_rows, &keys_weighted, &keys_flipped,
                            &keys_pairs, &queries_pairs}) {
      *rows = cut.Take(kChunk * keys);
    }
    for (BFloat16** rows :
         {&values_rows, &values_weighted, &values_flipped, &values_pairs,
          &d_outputs, &d_outputs_weighted, &d_outputs_pairs}) {
      *rows = cut.Take(kChunk * values);
    }
    for (BFloat16** tile :
         {&scores, &scores_transposed, &d_scores, &d_scores_transposed}) {
      *tile = cut.Take(kChunk * kChunk);
    }
    weights = cut.TakeF32(kChunk * kChunk);
    row_sums = cut.TakeF32(kChunk * kWide);
    blocks = cut.TakeF32(3 * kBlockSums);
  }

  BFloat16 *queries, *keys_rows;             // (chunk, key_dim)
  BFloat16* keys_weighted;                   // K or Q, weighted
  BFloat16* keys_flipped;                    // tiles of B = K^T, of A = Q^T
  BFloat16 *keys_pairs, *queries_pairs;      // tiles of B = K, of B = Q
  BFloat16 *values_rows, *values_weighted;   // (chunk, value_dim)
  BFloat16* values_flipped;                  // tiles of B = V^T, of A = V^T
  BFloat16* values_pairs;                    // tiles of B = V, weighted
  BFloat16 *d_outputs, *d_outputs_weighted;  // (chunk, value_dim)
  BFloat16* d_outputs_pairs;                 // tiles of B = dO
  BFloat16 *scores, *d_scores;               // (chunk, chunk)
  BFloat16 *scores_transposed, *d_scores_transposed;  // tiles of A
  float* weights;                                     // (chunk, chunk)
  float* row_sums;                                    // (chunk, lanes)
  float* blocks;                                      // three of sums
};

// One head's walks; blocks and chunks are given in order by the caller.
class Bf16BackwardPass {
 public:
  Bf16BackwardPass(const Bf16Sequence& sequence,
                   const Bf16BackwardBuffers& buffers,
                   const LinearAttentionPlan& plan, BFloat16* head_scratch)
      : Bf16BackwardPass(sequence, buffers, plan, ScratchCutter(head_scratch)) {
  }

  // ---- the forward sweep -------------------------------------------------

  void LoadInitialState() {
    const BlockedState state = SavedState(0);
    if (s_.initial_state.data == nullptr) {
      state.Load({}, 0, 0);
    } else {
      state.LoadTransposed(s_.initial_state, s_.value_dim, s_.key_dim);
    }
  }

  // A group's states are filled block by block: states_ holds, as operands,
  // those at the starts of its blocks.
  void BeginGroup(int64_t group) {
    state_.Copy(SavedState(group));
    state_.WritePairs(states_);
  }
  void EndGroup(int64_t group) { SavedState(group + 1).Copy(state_); }

  // Only the block's last chunk reaches its end: a chunk that follows another
  // in the same block starts a document. `next`: the block that follows, if it
  // is of the group.
  void AdvanceBlock(const Chunk& chunk, std::optional<int64_t> next) {
    const int64_t n = PadToBlock(chunk.size());
    decay_.SetChunk(chunk.begin, chunk.end);
    const Bf16Rows k = PaddedRows(s_.k, chunk, s_.key_dim, buffers_.keys_rows);
    const Bf16Rows v = Weighted(s_.v, chunk, s_.value_dim, decay_.to_end(),
                                buffers_.values_weighted);
    PackPairs(k, n, keys_, kChunkTiles, buffers_.keys_pairs);
    PackPairs(v, n, values_, kChunkTiles, buffers_.values_pairs);
    Flip(buffers_.values_pairs, values_, n, buffers_.values_flipped);
    AddToState(state_, buffers_.values_flipped, buffers_.keys_pairs, n,
               HasStateBefore(chunk), next ? StateAt(*next) : nullptr, nullptr);
  }

  // ---- the reverse sweep -------------------------------------------------

  void LoadFinalGradient() {
    has_d_state_ = s_.d_final_state.data != nullptr;
    if (!has_d_state_) return;
    d_state_.Load(s_.d_final_state, s_.key_dim, s_.value_dim);
    d_state_.WritePairs(d_state_pairs_);
    d_state_.WriteFlipped(d_state_flipped_);
  }

  void StoreInitialGradient() {
    if (s_.d_initial_state.data == nullptr) return;
    if (!has_d_state_) d_state_.Load({}, 0, 0);
    d_state_.Store(s_.d_initial_state, s_.key_dim, s_.value_dim);
  }

  void SummariseChunk(const Chunk& chunk) {
    decay_.SetChunk(chunk.begin, chunk.end);
    PackOutputGradients(chunk);
    RetreatState(chunk);
  }

  void ReverseChunk(const Chunk& chunk, int64_t block_in_group) {
    const BFloat16* state =
        HasStateBefore(chunk) ? StateAt(block_in_group) : nullptr;
    decay_.SetChunk(chunk.begin, chunk.end);
    PackOutputGradients(chunk);
    q_ = PaddedRows(s_.q, chunk, s_.key_dim, buffers_.queries);
    k_ = PaddedRows(s_.k, chunk, s_.key_dim, buffers_.keys_rows);
    if (s_.intra) PackIntra(chunk);
    double terms[kChunk] = {};
    double boundary = 0.0;
    if (s_.intra || state != nullptr) {
      WriteQueryGradients(chunk, state, terms);
    }
    if (s_.intra || has_d_state_) {
      boundary = WriteKeyGradients(chunk, terms);
      WriteValueGradients(chunk);
    }
    if (gates_) {
      if (state != nullptr && has_d_state_) {
        boundary += static_cast<double>(decay_.total()) *
                    Dot(state, d_state_flipped_, state_.size());
      }
      WriteGateGradients(chunk, state != nullptr, terms, boundary);
    }
    if (s_.inter) RetreatState(chunk);
    if (chunk.starts_document) has_d_state_ = false;
  }

 private:
  Bf16BackwardPass(const Bf16Sequence& sequence,
                   const Bf16BackwardBuffers& buffers,
                   const LinearAttentionPlan& plan, ScratchCutter cut)
      : s_(sequence),
        keys_(PadToBlock(sequence.key_dim)),
        values_(PadToBlock(sequence.value_dim)),
        gates_(sequence.decay == DecayKind::kPerToken),
        buffers_(buffers),
        decay_sequence_(DecayOfSequence(sequence)),
        decay_(decay_sequence_, cut.TakeF32(8 * kChunk), buffers.weights),
        d_state_(cut.TakeF32(keys_ * values_), keys_, values_),
        d_state_pairs_(cut.Take(keys_ * values_)),
        d_state_flipped_(cut.Take(keys_ * values_)),
        state_(cut.TakeF32(keys_ * values_), values_, keys_),
        states_(cut.Take(plan.group_blocks * keys_ * values_)),
        saved_states_(cut.TakeF32(plan.groups * keys_ * values_)) {}

  BFloat16* StateAt(int64_t block_in_group) const {
    return states_ + block_in_group * state_.size();
  }
  BlockedState SavedState(int64_t group) const {
    return {saved_states_ + group * state_.size(), values_, keys_};
  }
  bool HasStateBefore(const Chunk& chunk) const {
    if (!s_.inter || chunk.starts_document) return false;
    return chunk.begin > 0 || s_.initial_state.data != nullptr;
  }

  // Rows times `factors`, which are all 1 without decays.
  Bf16Rows Weighted(const OperandRows<BFloat16>& from, const Chunk& chunk,
                    int64_t cols, const float* factors, BFloat16* copy) const {
    return s_.decay == DecayKind::kNone
               ? PaddedRows(from, chunk, cols, copy)
               : WeightedRows(from, chunk, cols, factors, copy);
  }

  // Tiles of B, [tokens, channels] as pairs, to tiles of A of the transpose.
  static void Flip(const BFloat16* pairs, int64_t channels, int64_t tokens,
                   BFloat16* to) {
    FlipTiles(PackedTiles(pairs, kChunkTiles), channels / kTileLines,
              tokens / kTileDepth, kChunkTiles, to);
  }

  // state <- total * state + A B over the chunk's tokens, and its operands, as
  // far as they are not null.
  void AddToState(const BlockedState& state, const BFloat16* a,
                  const BFloat16* b, int64_t tokens, bool has_before,
                  BFloat16* pairs, BFloat16* flipped) const {
    const TileOperand rows = PackedTiles(a, kChunkTiles);
    const TileOperand cols = PackedTiles(b, kChunkTiles);
    const float total = decay_.total();
    ForEachBlockSum(
        state.rows() / kBlockLines, state.cols() / kBlockLines, buffers_.blocks,
        [&](BlockSum& sum, int64_t r, int64_t c) {
          sum.Add(rows.From(r, 0), cols.From(c, 0), tokens / kTileDepth);
        },
        [&](int64_t r, int64_t c, const float* sums) {
          state.AddTo(r, c, has_before ? &total : nullptr, sums, pairs);
          if (flipped != nullptr) state.WriteFlipped(r, c, flipped);
        });
  }

  void PackOutputGradients(const Chunk& chunk) {
    d_o_ = PaddedRows(s_.d_o, chunk, s_.value_dim, buffers_.d_outputs);
    PackPairs(d_o_, PadToBlock(chunk.size()), values_, kChunkTiles,
              buffers_.d_outputs_pairs);
  }

  void RetreatState(const Chunk& chunk) {
    const int64_t n = PadToBlock(chunk.size());
    const Bf16Rows q = WeightedRows(
        s_.q, chunk, s_.key_dim, decay_.from_start(), buffers_.keys_weighted);
    PackPairs(q, n, keys_, kChunkTiles, buffers_.keys_pairs);
    Flip(buffers_.keys_pairs, keys_, n, buffers_.keys_flipped);
    AddToState(d_state_, buffers_.keys_flipped, buffers_.d_outputs_pairs, n,
               has_d_state_, d_state_pairs_, d_state_flipped_);
    has_d_state_ = true;
  }

  void PackIntra(const Chunk& chunk) {
    const int64_t n = PadToBlock(chunk.size());
    const Bf16Rows v =
        PaddedRows(s_.v, chunk, s_.value_dim, buffers_.values_rows);
    PackPairs(k_, n, keys_, kChunkTiles, buffers_.keys_pairs);
    PackPairs(q_, n, keys_, kChunkTiles, buffers_.queries_pairs);
    PackScores(chunk, q_, k_, keys_, buffers_.keys_flipped, buffers_.scores,
               buffers_.scores_transposed);
    PackScores(chunk, d_o_, v, values_, buffers_.values_flipped,
               buffers_.d_scores, buffers_.d_scores_transposed);
  }

  // scores = weights o (A B^T), and their transpose as tiles.
  void PackScores(const Chunk& chunk, const Bf16Rows& a, const Bf16Rows& b,
                  int64_t depth, BFloat16* b_flipped, BFloat16* scores,
                  BFloat16* transposed) const {
    const int64_t n = PadToBlock(chunk.size());
    const int64_t depth_tiles = depth / kTileDepth;
    FlipTiles(AsTiles(b), n / kTileLines, depth_tiles, depth_tiles, b_flipped);
    MaskedBf16Scores(a, PackedTiles(b_flipped, depth_tiles), depth,
                     chunk.size(), decay_, buffers_.blocks, scores);
    for (int64_t c = 0; c < n; c += kBlockLines) {
      // Tokens before the block's do not see it.
      BFloat16 pairs[kChunk * kBlockLines];
      PackPairs({scores + c * kChunk + c, kChunk}, n - c, kBlockLines,
                kChunkTiles, pairs);
      FlipTiles(PackedTiles(pairs, kChunkTiles), 2, (n - c) / kTileDepth,
                kChunkTiles,
                transposed + c * kChunk + c / kTileDepth * kTileNumbers);
    }
  }

  // ---- gradients of tokens -----------------------------------------------

  void WriteQueryGradients(const Chunk& chunk, const BFloat16* state,
                           double (&terms)[kChunk]) const {
    Bf16Rows d_o = {};
    if (state != nullptr) {
      d_o = WeightedRows(s_.d_o, chunk, s_.value_dim, decay_.from_start(),
                         buffers_.d_outputs_weighted);
    }
    const TileOperand d_scores = RowTiles(buffers_.d_scores, kChunk);
    const TileOperand keys = PackedTiles(buffers_.keys_pairs, kChunkTiles);
    const TileOperand states = PackedTiles(state, values_ / kTileDepth);
    ForEachBlockSum(
        PadToBlock(chunk.size()) / kBlockLines, keys_ / kBlockLines,
        buffers_.blocks,
        [&](BlockSum& sum, int64_t r, int64_t c) {
          if (state != nullptr) {
            sum.Add(AsTiles(d_o).From(r, 0), states.From(c, 0),
                    values_ / kTileDepth);
          }
          if (s_.intra) sum.Add(d_scores.From(r, 0), keys.From(c, 0), r + 1);
        },
        [&](int64_t r, int64_t c, const float* sums) {
          AddRowProducts(q_, r, c, sums);
          StoreBlock(chunk, r, c, s_.key_dim, sums, s_.d_q);
        });
    TakeTerms(chunk, 1.0, terms);
  }

  // Returns the sum of k_s . dk_s of what comes from dS.
  double WriteKeyGradients(const Chunk& chunk, double (&terms)[kChunk]) const {
    Bf16Rows v = {};
    if (has_d_state_) {
      v = Weighted(s_.v, chunk, s_.value_dim, decay_.to_end(),
                   buffers_.values_weighted);
    }
    const int64_t blocks = PadToBlock(chunk.size()) / kBlockLines;
    const TileOperand d_scores =
        PackedTiles(buffers_.d_scores_transposed, kChunkTiles);
    const TileOperand queries =
        PackedTiles(buffers_.queries_pairs, kChunkTiles);
    const TileOperand states =
        PackedTiles(d_state_flipped_, values_ / kTileDepth);
    double from_state = 0.0;
    ForEachBlockSum(
        blocks, keys_ / kBlockLines, buffers_.blocks,
        [&](BlockSum& sum, int64_t r, int64_t c) {
          if (has_d_state_) {
            sum.Add(AsTiles(v).From(r, 0), states.From(c, 0),
                    values_ / kTileDepth);
            if (gates_) from_state += BlockProduct(k_, r, c, sum);
          }
          if (s_.intra) {
            sum.Add(d_scores.From(r, r), queries.From(c, r), blocks - r);
          }
        },
        [&](int64_t r, int64_t c, const float* sums) {
          AddRowProducts(k_, r, c, sums);
          StoreBlock(chunk, r, c, s_.key_dim, sums, s_.d_k);
        });
    TakeTerms(chunk, -1.0, terms);
    return from_state;
  }

  void WriteValueGradients(const Chunk& chunk) const {
    Bf16Rows k = {};
    if (has_d_state_) {
      k = Weighted(s_.k, chunk, s_.key_dim, decay_.to_end(),
                   buffers_.keys_weighted);
    }
    const int64_t blocks = PadToBlock(chunk.size()) / kBlockLines;
    const TileOperand scores =
        PackedTiles(buffers_.scores_transposed, kChunkTiles);
    const TileOperand d_outputs =
        PackedTiles(buffers_.d_outputs_pairs, kChunkTiles);
    const TileOperand states = PackedTiles(d_state_pairs_, keys_ / kTileDepth);
    ForEachBlockSum(
        blocks, values_ / kBlockLines, buffers_.blocks,
        [&](BlockSum& sum, int64_t r, int64_t c) {
          if (has_d_state_) {
            sum.Add(AsTiles(k).From(r, 0), states.From(c, 0),
                    keys_ / kTileDepth);
          }
          if (s_.intra) {
            sum.Add(scores.From(r, r), d_outputs.From(c, r), blocks - r);
          }
        },
        [&](int64_t r, int64_t c, const float* sums) {
          StoreBlock(chunk, r, c, s_.value_dim, sums, s_.d_v);
        });
  }

  void StoreBlock(const Chunk& chunk, int64_t r, int64_t c, int64_t cols,
                  const float* sums, const ResultRows<BFloat16>& result) const {
    const int64_t row = chunk.begin + r * kBlockLines;
    const int64_t col = c * kBlockLines;
    StoreResults(sums, chunk.end - row, cols - col, !s_.intra,
                 result.data + row * result.stride + col, result.stride);
  }

  // ---- gates -------------------------------------------------------------

  // x . block in lanes, row by row, summed over the column blocks.
  void AddRowProducts(const Bf16Rows& x, int64_t r, int64_t c,
                      const float* sums) const {
    if (!gates_) return;
    for (int64_t i = 0; i < kBlockLines; ++i) {
      const int64_t row = r * kBlockLines + i;
      float* to = buffers_.row_sums + row * kWide;
      Lanes sum = c == 0 ? SplatLanes(0.0f) : LoadLanes(to);
      AddRowProduct(x.Row(row) + c * kBlockLines, sums + BlockRow(i), sum);
      StoreLanes(to, sum);
    }
  }

  // The sum of x o sums so far.
  float BlockProduct(const Bf16Rows& x, int64_t r, int64_t c,
                     const BlockSum& sums) const {
    float* block = buffers_.blocks + 2 * kBlockSums;
    sums.Store(block);
    Lanes sum = SplatLanes(0.0f);
    for (int64_t i = 0; i < kBlockLines; ++i) {
      AddRowProduct(x.Row(r * kBlockLines + i) + c * kBlockLines,
                    block + BlockRow(i), sum);
    }
    return SumOf(sum);
  }

  static void AddRowProduct(const BFloat16* x, const float* row, Lanes& sum) {
    sum = MultiplyAdd(LoadBf16(x, kWide), LoadLanes(row), sum);
    sum =
        MultiplyAdd(LoadBf16(x + kWide, kWide), LoadLanes(row + kSumTile), sum);
  }

  void TakeTerms(const Chunk& chunk, double sign,
                 double (&terms)[kChunk]) const {
    if (!gates_) return;
    for (int64_t i = 0; i < chunk.size(); ++i) {
      terms[i] += sign * SumOf(LoadLanes(buffers_.row_sums + i * kWide));
    }
  }

  void WriteGateGradients(const Chunk& chunk, bool has_state,
                          const double (&terms)[kChunk],
                          double boundary) const {
    double sum = boundary;
    for (int64_t i = chunk.size() - 1; i >= 0; --i) {
      sum += terms[i];
      float* to = s_.d_log_gate.data + (chunk.begin + i) * s_.d_log_gate.stride;
      // The gate of a token with no state before it multiplies zero.
      const double value = i == 0 && !has_state ? 0.0 : sum;
      *to = static_cast<float>(s_.intra ? value : *to + value);
    }
  }

  const Bf16Sequence& s_;
  const int64_t keys_;    // key_dim, padded
  const int64_t values_;  // value_dim, padded
  const bool gates_;
  const Bf16BackwardBuffers& buffers_;
  const LinearAttentionSequence<float> decay_sequence_;
  ChunkDecay<float> decay_;
  const BlockedState d_state_;
  BFloat16* const d_state_pairs_;    // tiles of B = dS
  BFloat16* const d_state_flipped_;  // tiles of B = dS^T
  bool has_d_state_ = false;   // d_state_ holds the gradient at the chunk's end
  const BlockedState state_;   // transposed, of the forward sweep
  BFloat16* const states_;     // tiles of B = S^T at the group's block starts
  float* const saved_states_;  // transposed, at all groups' starts
  Bf16Rows q_ = {}, k_ = {}, d_o_ = {};  // of the chunk at work
};

class Bf16BackwardGroup
    : public BackwardSweep<Bf16BackwardGroup, Bf16BackwardPass> {
 public:
  explicit Bf16BackwardGroup(const LinearAttentionGroup<BFloat16>& group)
      : BackwardSweep(group.count, WalkOf(group.heads[0]), group.plan,
                      group.heads[0].inter),
        buffers_(group.scratch, PadToBlock(group.heads[0].key_dim),
                 PadToBlock(group.heads[0].value_dim)) {
    for (int64_t h = 0; h < count_; ++h) {
      passes_[h].emplace(group.heads[h], buffers_, plan_,
                         group.head_scratch(h));
    }
  }

  // What ends the last block is not needed.
  void FillStates(int64_t group) {
    ForEachPass([&](auto& pass) { pass.BeginGroup(group); });
    const int64_t first = group * plan_.group_blocks;
    for (int64_t i = 0; i < plan_.group_blocks; ++i) {
      if (first + i + 1 >= plan_.blocks) return;
      const Chunk chunk = walk_.Until(BlockBegin(first + i + 1));
      std::optional<int64_t> next;
      if (i + 1 < plan_.group_blocks) next = i + 1;
      ForEachPass([&](auto& pass) { pass.AdvanceBlock(chunk, next); });
    }
    ForEachPass([&](auto& pass) { pass.EndGroup(group); });
  }

  void ReverseChunk(const Chunk& chunk, int64_t block) {
    ForEachPass(
        [&](Bf16BackwardPass& pass) { pass.ReverseChunk(chunk, block); });
  }

 private:
  const TileRegisters registers_;
  const Bf16BackwardBuffers buffers_;
};

inline void SummariseBackwardBf16(const LinearAttentionGroup<BFloat16>& group) {
  Bf16BackwardGroup(group).Summarise();
}

inline void GradientsBf16(const LinearAttentionGroup<BFloat16>& group) {
  Bf16BackwardGroup(group).Gradients();
}

}  // namespace longspan::kernels::LONGSPAN_ISA
