// What the passes of bf16 linear attention do with a chunk alike: padded rows,
// scores, and what becomes of a block of sums. Included by
// linear_attention_bf16_{forward,backward}.h.
//
// Sums and states are f32. Operands of products are bf16, so scores, weighted
// rows and, as operands only, states are rounded.
#pragma once

#include "kernels/cpu/bf16_state.h"
#include "kernels/cpu/chunk_decay.h"
#include "kernels/cpu/chunk_walk.h"

namespace longspan::kernels::LONGSPAN_ISA {

using Bf16Sequence = LinearAttentionSequence<BFloat16>;

inline constexpr int64_t kChunkTiles = kChunk / kTileDepth;

LONGSPAN_INLINE int64_t PadToBlock(int64_t n) {
  return (n + kBlockLines - 1) / kBlockLines * kBlockLines;
}

// Cuts scratch memory into pieces.
class ScratchCutter {
 public:
  explicit ScratchCutter(BFloat16* data) : next_(data) {}

  BFloat16* Take(int64_t count) {
    BFloat16* begin = next_;
    next_ += count;
    return begin;
  }
  float* TakeF32(int64_t count) {
    return reinterpret_cast<float*>(Take(2 * count));
  }

 private:
  BFloat16* next_;
};

// What ChunkDecay reads of a sequence.
inline LinearAttentionSequence<float> DecayOfSequence(const Bf16Sequence& s) {
  LinearAttentionSequence<float> decay;
  decay.scale = s.scale;
  decay.decay = s.decay;
  decay.log_decay = s.log_decay;
  decay.log_gate = s.log_gate;
  return decay;
}

// Rows of a chunk that products may read as far as blocks reach: where they
// are if nothing is to be padded, else copied to `copy`.
inline Bf16Rows PaddedRows(const OperandRows<BFloat16>& from,
                           const Chunk& chunk, int64_t cols, BFloat16* copy) {
  const Bf16Rows rows = {from.data + chunk.begin * from.stride, from.stride};
  const int64_t n = chunk.size();
  if (n % kBlockLines == 0 && cols % kBlockLines == 0) return rows;
  CopyRows(rows, n, cols, nullptr, PadToBlock(n), PadToBlock(cols), copy);
  return {copy, PadToBlock(cols)};
}

// The same times `factors`, always copied.
inline Bf16Rows WeightedRows(const OperandRows<BFloat16>& from,
                             const Chunk& chunk, int64_t cols,
                             const float* factors, BFloat16* copy) {
  CopyRows({from.data + chunk.begin * from.stride, from.stride}, chunk.size(),
           cols, factors, PadToBlock(chunk.size()), PadToBlock(cols), copy);
  return {copy, PadToBlock(cols)};
}

inline TileOperand AsTiles(const Bf16Rows& rows) {
  return RowTiles(rows.data, rows.stride);
}

// scores[i][j] = weights(i, j) a_i b_j for j <= i, else 0: rows of kChunk, as
// many as are padded. `b` holds tiles of B whose lines are tokens.
inline void MaskedBf16Scores(const Bf16Rows& a, const TileOperand& b,
                             int64_t depth, int64_t n,
                             const ChunkDecay<float>& decay, float* blocks,
                             BFloat16* scores) {
  const Lanes zero = SplatLanes(0.0f);
  const int64_t count = PadToBlock(n) / kBlockLines;
  for (int64_t c = 0; c < count; ++c) {
    ForEachBlockSum(
        count - c, 1, blocks,
        [&](BlockSum& sum, int64_t r, int64_t) {
          sum.Add(AsTiles(a).From(c + r, 0), b.From(c, 0), depth / kTileDepth);
        },
        [&](int64_t r, int64_t, const float* sums) {
          for (int64_t i = 0; i < kBlockLines; ++i) {
            const int64_t row = (c + r) * kBlockLines + i;
            BFloat16* to = scores + row * kChunk + c * kBlockLines;
            if (row >= n) {
              StoreBf16(zero, zero, to, kBlockLines);
              continue;
            }
            const float* from = sums + BlockRow(i);
            const float* weights = decay.weights(row, c * kBlockLines);
            StoreBf16(Multiply(LoadLanes(weights), LoadLanes(from)),
                      Multiply(LoadLanes(weights + kWide),
                               LoadLanes(from + kSumTile)),
                      to, kBlockLines);
          }
        });
  }
}

// Rows of a block of sums as `rows` rows of up to `cols` results, or added to
// them.
inline void StoreResults(const float* block, int64_t rows, int64_t cols,
                         bool add, BFloat16* to, int64_t stride) {
  const Lanes one = SplatLanes(1.0f);
  for (int64_t i = 0; i < rows && i < kBlockLines; ++i, to += stride) {
    Lanes low = LoadLanes(block + BlockRow(i));
    Lanes high = LoadLanes(block + BlockRow(i) + kSumTile);
    if (add) {
      low = MultiplyAdd(one, LoadBf16(to, cols), low);
      high = MultiplyAdd(one, LoadBf16(to + kWide, cols - kWide), high);
    }
    StoreBf16(low, high, to, cols);
  }
}

}  // namespace longspan::kernels::LONGSPAN_ISA
