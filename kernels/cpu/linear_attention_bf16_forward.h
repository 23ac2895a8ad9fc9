// Summaries and outputs of a group of heads with bf16 operands, chunk by chunk,
// and in a chunk head by head, in products of tiles (bf16_tile.h):
//
//     P = weights o (Q K^T)
//     O = (from_start o Q) S + P V
//     S <- total * S + (to_end o K)^T V
#pragma once

#include "kernels/cpu/head_group.h"
#include "kernels/cpu/linear_attention_bf16_chunk.h"

namespace longspan::kernels::LONGSPAN_ISA {

// Operands of the chunk and head at work.
struct Bf16ForwardBuffers {
  Bf16ForwardBuffers(BFloat16* scratch, int64_t keys, int64_t values) {
    ScratchCutter cut(scratch);
    queries = cut.Take(kChunk * keys);
    keys_rows = cut.Take(kChunk * keys);
    keys_flipped = cut.Take(kChunk * keys);
    keys_pairs = cut.Take(kChunk * keys);
    values_rows = cut.Take(kChunk * values);
    values_pairs = cut.Take(kChunk * values);
    scores = cut.Take(kChunk * kChunk);
    weights = cut.TakeF32(kChunk * kChunk);
    blocks = cut.TakeF32(2 * kBlockSums);
  }

  BFloat16* queries;       // (chunk, key_dim)
  BFloat16* keys_rows;     // (chunk, key_dim)
  BFloat16* keys_flipped;  // tiles of B = K^T, then of A = K^T
  BFloat16* keys_pairs;    // tiles of B = K
  BFloat16* values_rows;   // (chunk, value_dim)
  BFloat16* values_pairs;  // tiles of B = V
  BFloat16* scores;        // (chunk, chunk)
  float* weights;          // (chunk, chunk)
  float* blocks;           // two of sums
};

// One head's walk; chunks are given in order by the caller.
class Bf16ForwardPass {
 public:
  Bf16ForwardPass(const Bf16Sequence& sequence,
                  const Bf16ForwardBuffers& buffers, BFloat16* head_scratch)
      : Bf16ForwardPass(sequence, buffers, ScratchCutter(head_scratch)) {}

  void LoadState() {
    has_state_ = s_.inter && s_.initial_state.data != nullptr;
    if (!has_state_) return;
    state_.Load(s_.initial_state, s_.key_dim, s_.value_dim);
    state_.WritePairs(state_pairs_);
  }

  void OutputChunk(const Chunk& chunk) {
    if (chunk.starts_document) has_state_ = false;
    decay_.SetChunk(chunk.begin, chunk.end);
    PackValues(chunk);
    if (s_.intra) WriteScores(chunk);
    if (s_.intra || has_state_) WriteOutputs(chunk);
    if (s_.inter && NeedsStateAfter(chunk)) AdvanceState(chunk);
  }

  void SummariseChunk(const Chunk& chunk) {
    decay_.SetChunk(chunk.begin, chunk.end);
    PackValues(chunk);
    AdvanceState(chunk);
  }

  void StoreState() const {
    if (s_.final_state.data == nullptr) return;
    state_.Store(s_.final_state, s_.key_dim, s_.value_dim);
  }
  void StoreSnapshot(int64_t p) const {
    auto to = s_.prefix_states;
    to.data += p * s_.snapshot_stride;
    state_.Store(to, s_.key_dim, s_.value_dim);
  }

 private:
  Bf16ForwardPass(const Bf16Sequence& sequence,
                  const Bf16ForwardBuffers& buffers, ScratchCutter cut)
      : s_(sequence),
        keys_(PadToBlock(sequence.key_dim)),
        values_(PadToBlock(sequence.value_dim)),
        buffers_(buffers),
        state_(cut.TakeF32(keys_ * values_), keys_, values_),
        state_pairs_(cut.Take(keys_ * values_)),
        decay_sequence_(DecayOfSequence(sequence)),
        decay_(decay_sequence_, cut.TakeF32(8 * kChunk), buffers.weights) {}

  // Whether a later token, or the caller, reads the state after the chunk.
  bool NeedsStateAfter(const Chunk& chunk) const {
    return chunk.end < s_.tokens || s_.final_state.data != nullptr;
  }

  void PackValues(const Chunk& chunk) const {
    const Bf16Rows v =
        PaddedRows(s_.v, chunk, s_.value_dim, buffers_.values_rows);
    PackPairs(v, PadToBlock(chunk.size()), values_, kChunkTiles,
              buffers_.values_pairs);
  }

  void WriteScores(const Chunk& chunk) const {
    const int64_t n = chunk.size();
    const int64_t depth_tiles = keys_ / kTileDepth;
    const Bf16Rows q = PaddedRows(s_.q, chunk, s_.key_dim, buffers_.queries);
    const Bf16Rows k = PaddedRows(s_.k, chunk, s_.key_dim, buffers_.keys_rows);
    FlipTiles(AsTiles(k), PadToBlock(n) / kTileLines, depth_tiles, depth_tiles,
              buffers_.keys_flipped);
    MaskedBf16Scores(q, PackedTiles(buffers_.keys_flipped, depth_tiles), keys_,
                     n, decay_, buffers_.blocks, buffers_.scores);
  }

  void WriteOutputs(const Chunk& chunk) const {
    const int64_t n = chunk.size();
    const TileOperand scores = RowTiles(buffers_.scores, kChunk);
    const TileOperand values = PackedTiles(buffers_.values_pairs, kChunkTiles);
    const TileOperand state = PackedTiles(state_pairs_, keys_ / kTileDepth);
    Bf16Rows q = {};
    if (has_state_) {
      q = WeightedRows(s_.q, chunk, s_.key_dim, decay_.from_start(),
                       buffers_.queries);
    }
    ForEachBlockSum(
        PadToBlock(n) / kBlockLines, values_ / kBlockLines, buffers_.blocks,
        [&](BlockSum& sum, int64_t r, int64_t c) {
          if (has_state_) {
            sum.Add(AsTiles(q).From(r, 0), state.From(c, 0),
                    keys_ / kTileDepth);
          }
          if (s_.intra) sum.Add(scores.From(r, 0), values.From(c, 0), r + 1);
        },
        [&](int64_t r, int64_t c, const float* sums) {
          const int64_t row = chunk.begin + r * kBlockLines;
          const int64_t col = c * kBlockLines;
          StoreResults(sums, chunk.end - row, s_.value_dim - col, !s_.intra,
                       s_.o.data + row * s_.o.stride + col, s_.o.stride);
        });
  }

  void AdvanceState(const Chunk& chunk) {
    const int64_t n = PadToBlock(chunk.size());
    const Bf16Rows k =
        s_.decay == DecayKind::kNone
            ? PaddedRows(s_.k, chunk, s_.key_dim, buffers_.keys_rows)
            : WeightedRows(s_.k, chunk, s_.key_dim, decay_.to_end(),
                           buffers_.keys_rows);
    PackPairs(k, n, keys_, kChunkTiles, buffers_.keys_pairs);
    FlipTiles(PackedTiles(buffers_.keys_pairs, kChunkTiles), keys_ / kTileLines,
              n / kTileDepth, kChunkTiles, buffers_.keys_flipped);
    const TileOperand keys = PackedTiles(buffers_.keys_flipped, kChunkTiles);
    const TileOperand values = PackedTiles(buffers_.values_pairs, kChunkTiles);
    const float total = decay_.total();
    ForEachBlockSum(
        keys_ / kBlockLines, values_ / kBlockLines, buffers_.blocks,
        [&](BlockSum& sum, int64_t r, int64_t c) {
          sum.Add(keys.From(r, 0), values.From(c, 0), n / kTileDepth);
        },
        [&](int64_t r, int64_t c, const float* sums) {
          state_.AddTo(r, c, has_state_ ? &total : nullptr, sums, state_pairs_);
        });
    has_state_ = true;
  }

  const Bf16Sequence& s_;
  const int64_t keys_;    // key_dim, padded
  const int64_t values_;  // value_dim, padded
  const Bf16ForwardBuffers& buffers_;
  const BlockedState state_;
  BFloat16* const state_pairs_;  // tiles of B = S
  bool has_state_ = false;       // state_ holds the state before the chunk
  const LinearAttentionSequence<float> decay_sequence_;
  ChunkDecay<float> decay_;
};

class Bf16ForwardGroup
    : public ForwardSweep<Bf16ForwardGroup, Bf16ForwardPass> {
 public:
  explicit Bf16ForwardGroup(const LinearAttentionGroup<BFloat16>& group)
      : ForwardSweep(group.count, WalkOf(group.heads[0]),
                     group.heads[0].snapshot_interval),
        buffers_(group.scratch, PadToBlock(group.heads[0].key_dim),
                 PadToBlock(group.heads[0].value_dim)) {
    for (int64_t h = 0; h < count_; ++h) {
      passes_[h].emplace(group.heads[h], buffers_, group.head_scratch(h));
    }
  }

  void OutputChunk(const Chunk& chunk) {
    ForEachPass([&](Bf16ForwardPass& pass) { pass.OutputChunk(chunk); });
  }

 private:
  const TileRegisters registers_;
  const Bf16ForwardBuffers buffers_;
};

inline void SummariseBf16(LinearAttentionGroup<BFloat16>& group) {
  Bf16ForwardGroup(group).Summarise();
  for (int64_t h = 0; h < group.count; ++h) {
    *group.heads[h].log_decay_sums =
        static_cast<float>(LogGateSum(group.heads[h]));
  }
}

inline void OutputsBf16(const LinearAttentionGroup<BFloat16>& group) {
  Bf16ForwardGroup(group).Outputs(group.heads[0].inter);
}

}  // namespace longspan::kernels::LONGSPAN_ISA
