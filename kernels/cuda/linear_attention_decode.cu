// Decoding: bound by the bytes of the states, each read and written once.
#include "kernels/cuda/cuda_status.h"
#include "kernels/cuda/linear_attention_kernels.h"
#include "kernels/cuda/linear_attention_tile.cuh"

namespace longspan::kernels::cuda {
namespace {

constexpr float kLog2E = 1.44269504f;
constexpr int kLaneColumns = 4;  // columns of the state per lane: 16 bytes
constexpr int kTileColumns = kLaneColumns * kWarpThreads;
constexpr int kRowsPerWarp = 16;  // rows of the state in registers
constexpr int kMaxWarps = 16;
constexpr int kMaxKeyDim = kRowsPerWarp * kMaxWarps;

// Shared memory, floats.
struct DecodeLayout {
  static constexpr int kQuery = 0;
  static constexpr int kKey = kQuery + kMaxKeyDim;
  static constexpr int kValue = kKey + kMaxKeyDim;
  static constexpr int kSums = kValue + kTileColumns;
  static constexpr int kBytes = 4 * (kSums + kMaxWarps * kTileColumns);
};

struct DecodeWork {
  int64_t b;
  int64_t h;
  int64_t slot;
  int column0;
};

LONGSPAN_DEVICE DecodeWork DecodeWorkOf(const DecodeParams& p) {
  const int tiles = (p.value_dim + kTileColumns - 1) / kTileColumns;
  int64_t index = BlockIndex();
  DecodeWork work;
  work.column0 = static_cast<int>(index % tiles) * kTileColumns;
  index /= tiles;
  work.h = index % p.heads;
  work.b = index / p.heads;
  work.slot = p.slots[work.b * p.slot_stride];
  return work;
}

// Rows WarpIndex() + i * warps of the state, four columns per lane.
struct DecodeState {
  float r[kRowsPerWarp][kLaneColumns];
};

// This lane's columns of its warp's first row, and the step to its next row.
LONGSPAN_DEVICE float* FirstRow(const DecodeParams& p, const DecodeWork& work) {
  return p.pool.data + work.slot * p.pool.stride_segment +
         work.h * p.pool.stride_h + WarpIndex() * p.pool.stride_y +
         work.column0 + kLaneColumns * LaneIndex();
}

LONGSPAN_DEVICE int64_t RowStep(const DecodeParams& p) {
  return BlockThreads() / kWarpThreads * p.pool.stride_y;
}

// Columns of this lane that exist.
LONGSPAN_DEVICE int LaneColumnCount(const DecodeParams& p,
                                    const DecodeWork& work) {
  const int left = p.value_dim - work.column0 - kLaneColumns * LaneIndex();
  return left < 0 ? 0 : left < kLaneColumns ? left : kLaneColumns;
}

// Four floats whose address need not be a multiple of 16 bytes, or that end
// after `columns`.
LONGSPAN_DEVICE void LoadColumns(const float* from, int columns, float* to) {
  LONGSPAN_UNROLL
  for (int c = 0; c < kLaneColumns; ++c) to[c] = c < columns ? from[c] : 0.0f;
}

LONGSPAN_DEVICE void StoreColumns(const float* from, int columns, float* to) {
  LONGSPAN_UNROLL
  for (int c = 0; c < kLaneColumns; ++c) {
    if (c < columns) to[c] = from[c];
  }
}

LONGSPAN_DEVICE void LoadVector(const float* from, float* to) {
  const Vector16 v = LoadVector16(from);
  LONGSPAN_UNROLL
  for (int c = 0; c < kLaneColumns; ++c) to[c] = FloatOfBits(v.x[c]);
}

LONGSPAN_DEVICE void StoreVector(const float* from, float* to) {
  Vector16 v;
  LONGSPAN_UNROLL
  for (int c = 0; c < kLaneColumns; ++c) v.x[c] = BitsOfFloat(from[c]);
  StoreVector16(to, v);
}

LONGSPAN_DEVICE bool InVectors(const DecodeParams& p, int columns) {
  return p.vectors != 0 && columns == kLaneColumns;
}

// Rows past the last are zero.
LONGSPAN_DEVICE void LoadState(const DecodeParams& p, const DecodeWork& work,
                               DecodeState& state) {
  const int warps = BlockThreads() / kWarpThreads;
  const int columns = LaneColumnCount(p, work);
  const bool vectors = InVectors(p, columns);
  const int64_t step = RowStep(p);
  const float* from = FirstRow(p, work);
  LONGSPAN_UNROLL
  for (int i = 0; i < kRowsPerWarp; ++i, from += step) {
    const int row = WarpIndex() + i * warps;
    if (row < p.key_dim && vectors) {
      LoadVector(from, state.r[i]);
    } else {
      LoadColumns(from, row < p.key_dim ? columns : 0, state.r[i]);
    }
  }
}

LONGSPAN_DEVICE void StoreState(const DecodeParams& p, const DecodeWork& work,
                                const DecodeState& state) {
  const int warps = BlockThreads() / kWarpThreads;
  const int columns = LaneColumnCount(p, work);
  const bool vectors = InVectors(p, columns);
  const int64_t step = RowStep(p);
  float* to = FirstRow(p, work);
  LONGSPAN_UNROLL
  for (int i = 0; i < kRowsPerWarp; ++i, to += step) {
    if (WarpIndex() + i * warps >= p.key_dim) continue;
    if (vectors) {
      StoreVector(state.r[i], to);
    } else {
      StoreColumns(state.r[i], columns, to);
    }
  }
}

// One token's q, k and v as f32.
LONGSPAN_DEVICE void StageToken(const DecodeParams& p, const DecodeWork& work,
                                int64_t token, float* shared) {
  const bool f32 = p.f32 != 0;
  const int64_t q = RowOffset(p.q, work.b, work.h, token);
  const int64_t k = RowOffset(p.k, work.b, work.h, token);
  const int64_t v = RowOffset(p.v, work.b, work.h, token) + work.column0;
  for (int i = ThreadIndex(); i < p.key_dim; i += BlockThreads()) {
    shared[DecodeLayout::kQuery + i] = LoadElement(p.q.data, q + i, f32);
    shared[DecodeLayout::kKey + i] = LoadElement(p.k.data, k + i, f32);
  }
  for (int i = ThreadIndex(); i < kTileColumns; i += BlockThreads()) {
    const bool inside = work.column0 + i < p.value_dim;
    shared[DecodeLayout::kValue + i] =
        inside ? LoadElement(p.v.data, v + i, f32) : 0.0f;
  }
}

LONGSPAN_DEVICE float TokenDecay(const DecodeParams& p, const DecodeWork& work,
                                 int64_t token) {
  if (p.log_gate != nullptr) {
    return Exp2(kLog2E *
                p.log_gate[work.b * p.gate_stride_b + token * p.gate_stride_t +
                           work.h * p.gate_stride_h]);
  }
  if (p.log_decay != nullptr) {
    return Exp2(kLog2E * p.log_decay[work.h * p.decay_stride_h]);
  }
  return 1.0f;
}

// S <- decay S + k^T v on this warp's rows; their part of q S to shared.
LONGSPAN_DEVICE void AdvanceState(const DecodeParams& p, float decay,
                                  float* shared, DecodeState& state) {
  const int warps = BlockThreads() / kWarpThreads;
  float* sums = shared + DecodeLayout::kSums + WarpIndex() * kTileColumns +
                kLaneColumns * LaneIndex();
  float o[kLaneColumns] = {};
  LONGSPAN_UNROLL
  for (int i = 0; i < kRowsPerWarp; ++i) {
    const int row = WarpIndex() + i * warps;
    if (row >= p.key_dim) continue;
    const float q = shared[DecodeLayout::kQuery + row];
    const float k = shared[DecodeLayout::kKey + row];
    LONGSPAN_UNROLL
    for (int c = 0; c < kLaneColumns; ++c) {
      const float v =
          shared[DecodeLayout::kValue + kLaneColumns * LaneIndex() + c];
      // A closed gate forgets even what is not finite.
      const float kept = decay == 0.0f ? 0.0f : decay * state.r[i][c];
      state.r[i][c] = kept + k * v;
      o[c] += q * state.r[i][c];
    }
  }
  LONGSPAN_UNROLL
  for (int c = 0; c < kLaneColumns; ++c) sums[c] = o[c];
}

LONGSPAN_DEVICE void WriteOutput(const DecodeParams& p, const DecodeWork& work,
                                 int64_t token, const float* shared) {
  const int warps = BlockThreads() / kWarpThreads;
  for (int i = ThreadIndex(); i < kTileColumns; i += BlockThreads()) {
    if (work.column0 + i >= p.value_dim) continue;
    float sum = 0.0f;
    for (int warp = 0; warp < warps; ++warp) {
      sum += shared[DecodeLayout::kSums + warp * kTileColumns + i];
    }
    const int64_t at = RowOffset(p.o, work.b, work.h, token) + work.column0 + i;
    void* data = const_cast<void*>(p.o.data);
    if (p.f32) {
      static_cast<float*>(data)[at] = p.scale * sum;
    } else {
      static_cast<Bf16*>(data)[at] = ToBf16(p.scale * sum);
    }
  }
}

// A block per text, head and 128 columns of the state.
LONGSPAN_KERNEL(kMaxWarps* kWarpThreads, 1) DecodeKernel(const DecodeParams p) {
  auto* shared = reinterpret_cast<float*>(SharedMemory());
  const DecodeWork work = DecodeWorkOf(p);
  // A slot outside the pool belongs to nobody.
  if (work.slot < 0 || work.slot >= p.pool_slots) return;
  DecodeState state;
  LoadState(p, work, state);
  for (int64_t token = 0; token < p.tokens; ++token) {
    // The barriers of the token before have passed its last read.
    StageToken(p, work, token, shared);
    SyncBlock();  // the token is here, and the sums before are written out
    AdvanceState(p, TokenDecay(p, work, token), shared, state);
    SyncBlock();  // the sums are here
    WriteOutput(p, work, token, shared);
  }
  StoreState(p, work, state);
}

}  // namespace

absl::Status LaunchDecode(const DecodeParams& params, void* stream) {
  const int64_t tiles = (params.value_dim + kTileColumns - 1) / kTileColumns;
  const int warps =
      params.key_dim <= kMaxKeyDim / 2 ? kMaxWarps / 2 : kMaxWarps;
  const LaunchShape shape = {params.batch * params.heads * tiles,
                             warps * kWarpThreads, DecodeLayout::kBytes};
  return LaunchStatus(LaunchKernel(DecodeKernel, shape, stream, params),
                      "DecodeKernel", shape);
}

}  // namespace longspan::kernels::cuda
