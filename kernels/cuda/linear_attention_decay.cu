// Decays inside chunks and over segments, and the gates' gradients.
#include "kernels/cuda/cuda_status.h"
#include "kernels/cuda/linear_attention_kernels.h"
#include "kernels/cuda/linear_attention_tile.cuh"

namespace longspan::kernels::cuda {
namespace {

constexpr float kLog2E = 1.44269504f;
constexpr float kLn2 = 0.693147181f;
// Below it 2^x is 0 in f32 (denormals are flushed).
constexpr float kSmallestLog2 = -126.0f;

constexpr int kBlockWarps = 4;
constexpr int kBlockThreads = kBlockWarps * kWarpThreads;

LONGSPAN_DEVICE float Infinity() { return FloatOfBits(0x7F800000u); }

// ---- tables ----------------------------------------------------------------

LONGSPAN_DEVICE bool StartsDocument(const TableParams& p, int64_t token) {
  int64_t begin = 0;
  int64_t end = p.document_count;
  while (begin < end) {
    const int64_t middle = (begin + end) / 2;
    if (p.document_starts[middle] < token) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  return begin < p.document_count && p.document_starts[begin] == token;
}

LONGSPAN_DEVICE float TokenLog2(const TableParams& p, int64_t b, int64_t h,
                                int64_t token) {
  if (token >= p.grid.tokens) return 0.0f;
  float log = 0.0f;
  if (p.log_gate != nullptr) {
    log = p.log_gate[b * p.gate_stride_b + token * p.gate_stride_t +
                     h * p.gate_stride_h];
  } else if (p.log_decay != nullptr) {
    log = p.log_decay[h * p.decay_stride_h];
  }
  return kLog2E * log;
}

// -1 without a bit.
LONGSPAN_DEVICE int HighestBit(uint32_t bits) {
  int bit = -1;
  for (; bits != 0; bits >>= 1) ++bit;
  return bit;
}
// 32 without a bit.
LONGSPAN_DEVICE int LowestBit(uint32_t bits) {
  int bit = 0;
  for (; bit < 32 && (bits >> bit & 1) == 0; ++bit) {
  }
  return bit;
}
LONGSPAN_DEVICE int Max(int a, int b) { return a > b ? a : b; }
LONGSPAN_DEVICE int Min(int a, int b) { return a < b ? a : b; }

// The run between resets that token t is in. Bit l of evens and odds: tokens
// 2 l and 2 l + 1 are resets.
LONGSPAN_DEVICE uint32_t SpanOf(uint32_t evens, uint32_t odds, int t) {
  const int lane = t / 2;
  const uint32_t up_to = 0xFFFFFFFFu >> (31 - lane);  // lanes 0 .. lane
  const uint32_t below = up_to >> 1;
  const bool odd = t % 2 == 1;
  const int first = Max(2 * HighestBit(evens & up_to),
                        2 * HighestBit(odds & (odd ? up_to : below)) + 1);
  const int next = Min(2 * LowestBit(evens & ~up_to),
                       2 * LowestBit(odds & ~(odd ? up_to : below)) + 1);
  const int last = Min(next, kLinearChunk) - 1;
  if (first < 0) return static_cast<uint32_t>(last) << 8 | DecayTable::kOpen;
  return static_cast<uint32_t>(first) | static_cast<uint32_t>(last) << 8;
}

// A warp per chunk and bh, two tokens per lane.
LONGSPAN_KERNEL(kBlockThreads, 1) TableKernel(const TableParams p) {
  const LinearGrid& grid = p.grid;
  const int64_t index = BlockIndex() * kBlockWarps + WarpIndex();
  if (index >= grid.batch * grid.heads * grid.chunks) return;
  const int64_t bh = index / grid.chunks;
  const int64_t chunk = index % grid.chunks;
  const int64_t token = chunk * kLinearChunk + 2 * LaneIndex();
  const int64_t b = bh / grid.heads;
  const int64_t h = bh % grid.heads;

  float log2[2];
  bool resets[2];
  for (int i = 0; i < 2; ++i) {
    log2[i] = TokenLog2(p, b, h, token + i);
    resets[i] = log2[i] < kSmallestLog2 || StartsDocument(p, token + i);
    if (resets[i]) log2[i] = 0.0f;
  }
  float sum = log2[0] + log2[1];
  for (int distance = 1; distance < kWarpThreads; distance *= 2) {
    const float before = ShuffleUp(sum, distance);
    if (LaneIndex() >= distance) sum += before;
  }
  float first = ShuffleUp(sum, 1);
  if (LaneIndex() == 0) first = 0.0f;
  first += log2[0];

  const uint32_t evens = WarpBallot(resets[0]);
  const uint32_t odds = WarpBallot(resets[1]);
  const int t = 2 * LaneIndex();
  DecayTable& table = grid.tables[index];
  table.sum[t] = first;
  table.sum[t + 1] = first + log2[1];
  table.span[t] = SpanOf(evens, odds, t);
  table.span[t + 1] = SpanOf(evens, odds, t + 1);
}

// ---- segments --------------------------------------------------------------

// A warp per segment and bh.
LONGSPAN_KERNEL(kBlockThreads, 1)
SegmentDecayKernel(const SegmentDecayParams p) {
  const LinearGrid& grid = p.grid;
  const int64_t sequences = grid.batch * grid.heads;
  const int64_t index = BlockIndex() * kBlockWarps + WarpIndex();
  if (index >= sequences * grid.segments) return;
  const int64_t bh = index % sequences;
  const ChunkWalk walk = SegmentWalk(grid, index / sequences, false);
  constexpr int kLast = kLinearChunk - 1;
  float sum = 0.0f;
  for (int64_t n = LaneIndex(); n < walk.count; n += kWarpThreads) {
    const DecayTable& table = grid.tables[bh * grid.chunks + walk.Chunk(n)];
    const bool open = table.span[kLast] & DecayTable::kOpen;
    sum += open ? table.sum[kLast] : -Infinity();
  }
  sum = WarpSum(sum);
  if (LaneIndex() == 0) p.segment_log2[index] = sum;
}

// A thread per bh: sums over segments.
LONGSPAN_KERNEL(kBlockThreads, 1) DecaySumKernel(const SegmentDecayParams p) {
  const LinearGrid& grid = p.grid;
  const int64_t sequences = grid.batch * grid.heads;
  const int64_t bh = BlockIndex() * kBlockThreads + ThreadIndex();
  if (bh >= sequences) return;
  float sum = 0.0f;
  for (int64_t segment = 0; segment < grid.segments; ++segment) {
    const int64_t at = segment * sequences + bh;
    if (p.entering_log2 != nullptr) p.entering_log2[at] = sum;
    sum += p.segment_log2[at];
  }
  if (p.total != nullptr) {
    const int64_t b = bh / grid.heads;
    const int64_t h = bh % grid.heads;
    p.total[b * p.total_stride_b + h * p.total_stride_h] = kLn2 * sum;
  }
  if (p.following_log2 == nullptr) return;
  sum = 0.0f;
  for (int64_t segment = grid.segments - 1; segment >= 0; --segment) {
    const int64_t at = segment * sequences + bh;
    p.following_log2[at] = sum;
    sum += p.segment_log2[at];
  }
}

// ---- gate gradients --------------------------------------------------------

LONGSPAN_DEVICE float StateAt(const StateSlots& slots, int64_t segment,
                              const BlockWork& work, int64_t y, int64_t z) {
  if (slots.data == nullptr) return 0.0f;
  return slots
      .data[segment * slots.stride_segment + work.b * slots.stride_b +
            work.h * slots.stride_h + y * slots.stride_y + z * slots.stride_z];
}

// This thread's part of the term at the end of the segment.
LONGSPAN_DEVICE float BoundaryPart(const GateGradientParams& p,
                                   const BlockWork& work) {
  const int64_t segment = work.segment;
  const int64_t sequences = p.grid.batch * p.grid.heads;
  const int64_t at = segment * sequences + work.bh;
  float initial_factor = 0.0f;
  float final_factor = 0.0f;
  if (p.inter) {
    initial_factor = Exp2(p.entering_log2[at] + p.segment_log2[at]);
    final_factor = Exp2(p.following_log2[at]);
  }
  float sum = 0.0f;
  for (int64_t i = ThreadIndex(); i < p.y_dim * p.z_dim; i += kBlockThreads) {
    const int64_t y = i / p.z_dim;
    const int64_t z = i % p.z_dim;
    const float state = StateAt(p.states, segment, work, y, z);
    const float d_state = StateAt(p.d_states, segment, work, y, z);
    if (p.inter) {
      const float initial = initial_factor * StateAt(p.initial, 0, work, y, z);
      const float d_final = final_factor * StateAt(p.d_final, 0, work, y, z);
      sum += initial * d_state + (state + initial) * d_final;
    } else {
      sum += state * d_state;
    }
  }
  return sum;
}

LONGSPAN_DEVICE float RowTerm(const GateGradientParams& p, int64_t bh,
                              int64_t token) {
  if (token >= p.grid.tokens) return 0.0f;
  const int64_t sequences = p.grid.batch * p.grid.heads;
  float term = 0.0f;
  for (int tile = 0; tile < p.z_tiles; ++tile) {
    const int64_t at = (tile * sequences + bh) * p.grid.tokens + token;
    term += p.query_dots[at] - p.key_dots[at];
  }
  return term;
}

// Sums from each token to the end of its run, for tokens base .. base + 31 of
// a chunk; `carry` is the sum that begins behind them.
LONGSPAN_DEVICE float RunSum(float term, int base, int last, float carry) {
  const int t = base + LaneIndex();
  for (int distance = 1; distance < kWarpThreads; distance *= 2) {
    const float later = ShuffleDown(term, distance);
    const bool inside = LaneIndex() + distance < kWarpThreads;
    if (inside && t + distance <= last) term += later;
  }
  return last >= base + kWarpThreads ? term + carry : term;
}

LONGSPAN_DEVICE void WriteGateGradient(const GateGradientParams& p,
                                       const BlockWork& work, int64_t token,
                                       bool reset, float value) {
  if (token >= p.grid.tokens) return;
  float& to = p.d_log_gate[work.b * p.stride_b + token * p.stride_t +
                           work.h * p.stride_h];
  if (reset) value = 0.0f;
  to = p.inter ? to + value : value;
}

// One warp walks the segment backward, 32 tokens at a time. What begins behind
// a half chunk is the sum of its first token, or at the chunk's end that of
// the next chunk, if the run goes on there.
LONGSPAN_DEVICE void WalkGates(const GateGradientParams& p,
                               const BlockWork& work, float boundary) {
  const ChunkWalk walk = SegmentWalk(p.grid, work.segment, /*reverse=*/true);
  float carry = boundary;
  for (int64_t n = 0; n < walk.count; ++n) {
    const int64_t chunk = walk.Chunk(n);
    const DecayTable& table = p.grid.tables[work.bh * p.grid.chunks + chunk];
    for (int base = kWarpThreads; base >= 0; base -= kWarpThreads) {
      const int t = base + LaneIndex();
      const int64_t token = chunk * kLinearChunk + t;
      const uint32_t span = table.span[t];
      // A run that reaches the chunk's end goes on in the next.
      int last = static_cast<int>(span >> 8 & 0xFF);
      if (last == kLinearChunk - 1) last = kLinearChunk;
      const bool reset =
          !(span & DecayTable::kOpen) && static_cast<int>(span & 0xFF) == t;
      const float sum = RunSum(RowTerm(p, work.bh, token), base, last, carry);
      WriteGateGradient(p, work, token, reset, sum);
      carry = Shuffle(reset ? 0.0f : sum, 0);
    }
  }
}

LONGSPAN_KERNEL(kBlockThreads, 1)
GateGradientKernel(const GateGradientParams p) {
  auto* shared = reinterpret_cast<float*>(SharedMemory());
  const BlockWork work = BlockWorkOf(p.grid, 1, 1);
  const float part = WarpSum(BoundaryPart(p, work));
  if (LaneIndex() == 0) shared[WarpIndex()] = part;
  SyncBlock();
  if (WarpIndex() != 0) return;
  float boundary = 0.0f;
  for (int warp = 0; warp < kBlockWarps; ++warp) boundary += shared[warp];
  WalkGates(p, work, boundary);
}

int64_t Blocks(int64_t items, int64_t per_block) {
  return (items + per_block - 1) / per_block;
}

}  // namespace

absl::Status LaunchTables(const TableParams& params, void* stream) {
  const LinearGrid& grid = params.grid;
  const int64_t warps = grid.batch * grid.heads * grid.chunks;
  const LaunchShape shape = {Blocks(warps, kBlockWarps), kBlockThreads, 0};
  return LaunchStatus(LaunchKernel(TableKernel, shape, stream, params),
                      "TableKernel", shape);
}

absl::Status LaunchSegmentDecays(const SegmentDecayParams& params,
                                 void* stream) {
  const LinearGrid& grid = params.grid;
  const int64_t sequences = grid.batch * grid.heads;
  const LaunchShape shape = {Blocks(sequences * grid.segments, kBlockWarps),
                             kBlockThreads, 0};
  const absl::Status launched =
      LaunchStatus(LaunchKernel(SegmentDecayKernel, shape, stream, params),
                   "SegmentDecayKernel", shape);
  const bool sums = params.entering_log2 != nullptr ||
                    params.following_log2 != nullptr || params.total != nullptr;
  if (!launched.ok() || !sums) return launched;
  const LaunchShape sum_shape = {Blocks(sequences, kBlockThreads),
                                 kBlockThreads, 0};
  return LaunchStatus(LaunchKernel(DecaySumKernel, sum_shape, stream, params),
                      "DecaySumKernel", sum_shape);
}

absl::Status LaunchGateGradient(const GateGradientParams& params,
                                void* stream) {
  const LinearGrid& grid = params.grid;
  const LaunchShape shape = {grid.batch * grid.heads * grid.segments,
                             kBlockThreads,
                             kBlockWarps * static_cast<int>(sizeof(float))};
  return LaunchStatus(LaunchKernel(GateGradientKernel, shape, stream, params),
                      "GateGradientKernel", shape);
}

}  // namespace longspan::kernels::cuda
