// What the kernels of linear attention are given, in device memory.
//
// One recurrence serves outputs and gradients. A walk over the chunks of a
// segment, forward or reverse, keeps a state R (Y x Z) and computes
//
//     out = score_scale * (mask o decay o X Y^T) Z + row_scale * e^row X R
//     R  <- e^total R + column_scale * (e^column Y)^T Z
//
//     result   X    Y    Z    state       walk      z dimension
//     o        q    k    v    S           forward   Dv
//     d_q      d_o  v    k    S^T         forward   Dk
//     d_k      v    d_o  q    dS^T        reverse   Dk
//     d_v      k    q    d_o  dS          reverse   Dv
//
// Strides count elements, states are f32, b is a batch element, h a head; "bh"
// numbers the pairs. Offsets are 64 bits wide.
#pragma once

#include <cstdint>

namespace longspan::kernels::cuda {

inline constexpr int kLinearChunk = 64;  // tokens of a chunk

// Decays inside one chunk. A reset is a token before which the state is zero:
// a document start, or a gate so small that 2^gate is zero in f32. Exponents
// are taken of differences of `sum` only where no reset lies between.
struct alignas(16) DecayTable {
  static constexpr uint32_t kOpen = 1u << 16;

  float sum[kLinearChunk];  // log2 of the decay from the chunk's start (resets
                            // count 0), through this token
  uint32_t span[kLinearChunk];  // first token of its run between resets, last
                                // token << 8, kOpen if no reset up to it
};

// [B, T, H, cols], the last dimension contiguous; null data: absent.
struct TokenRows {
  const void* data = nullptr;
  int64_t stride_b = 0;
  int64_t stride_t = 0;
  int64_t stride_h = 0;
};

// A state per segment and bh; null data: absent, or zero.
struct StateSlots {
  float* data = nullptr;
  int64_t stride_segment = 0;
  int64_t stride_b = 0;
  int64_t stride_h = 0;
  int64_t stride_y = 0;
  int64_t stride_z = 0;
};

// How the tokens are cut, and the decays, for all kernels of a call.
struct LinearGrid {
  int64_t tokens = 0;
  int64_t batch = 0;
  int64_t heads = 0;
  int64_t chunks = 0;
  int64_t segments = 0;
  int64_t segment_chunks = 0;
  DecayTable* tables = nullptr;  // [bh][chunks]
};

struct ScanRole {
  TokenRows x, y, z;
  TokenRows out;
  TokenRows partner;      // like out; for dots
  float* dots = nullptr;  // [z tiles][bh][tokens]: sum_z out * partner
  StateSlots entering;    // the state before a segment, in the walk's order
  const float* entering_log2 = nullptr;  // [segments][bh]: factor on entering
  StateSlots leaving;  // the state after the walk's last segment
  int y_dim = 0;
  int z_dim = 0;
  int reverse = 0;
  float score_scale = 1;
  float row_scale = 1;
  float column_scale = 1;
};

// The roles of a launch have the same y_dim and z_dim.
struct ScanParams {
  static constexpr int kMaxRoles = 3;

  LinearGrid grid;
  ScanRole roles[kMaxRoles];
  int role_count = 1;
  int z_tiles = 1;
  int f32 = 0;    // operands are f32, not bf16
  int inter = 0;  // add what flows from the entering state, nothing else
};

// R of one segment alone: what it adds to the state.
struct SummaryRole {
  TokenRows y, z;
  StateSlots states;  // of each segment
  int y_dim = 0;
  int z_dim = 0;
  int reverse = 0;
  int skip_last = 0;  // the walk's last segment enters no other
  int precise = 0;    // weighted operands in two planes, for gate gradients
  float column_scale = 1;
};

struct SummaryParams {
  static constexpr int kMaxRoles = 2;

  LinearGrid grid;
  SummaryRole roles[kMaxRoles];
  int role_count = 1;
  int z_tiles = 1;
  int f32 = 0;
};

// Fills grid.tables. Without log_gate every token has the log decay of its
// head, without that 0.
struct TableParams {
  LinearGrid grid;
  const float* log_gate = nullptr;
  int64_t gate_stride_b = 0;
  int64_t gate_stride_t = 0;
  int64_t gate_stride_h = 0;
  const float* log_decay = nullptr;
  int64_t decay_stride_h = 0;
  const int64_t* document_starts = nullptr;
  int64_t document_count = 0;
};

// segment_log2[segment][bh]: log2 of the decay over a segment; -infinity with
// a reset in it. From them, as asked for, sums over the segments before each
// (`entering`), after each (`following`), and the natural log of the decay over
// all of them.
struct SegmentDecayParams {
  LinearGrid grid;
  float* segment_log2 = nullptr;
  float* entering_log2 = nullptr;
  float* following_log2 = nullptr;
  float* total = nullptr;
  int64_t total_stride_b = 0;
  int64_t total_stride_h = 0;
};

// state = fold over i of S <- e^{A_i} S + S_i from `initial`, i = 0 .. count-1
// or in reverse, written to `result`. With `exclusive` each S_i is replaced by
// the state before it; then without `result` the last S_i is not read.
struct FoldParams {
  StateSlots states;
  StateSlots initial;
  StateSlots result;
  const float* log_decays = nullptr;
  int64_t decay_stride_segment = 0;
  int64_t decay_stride_b = 0;
  int64_t decay_stride_h = 0;
  float to_log2 = 1;  // factor on log_decays
  int64_t count = 0;
  int64_t batch = 0;
  int64_t heads = 0;
  int64_t y_dim = 0;
  int64_t z_dim = 0;
  int reverse = 0;
  int exclusive = 0;
};

// d_log_gate of a token is the sum of q . d_q - k . d_k from it to the end of
// its segment or its run, plus, in the segment's last run, <S, dS> at the end
// of the segment. Of a reset it is 0. Per segment:
//
//   all    <S, dS>
//   inter  <S0, dS> + <S + S0, dST>, where S0 is initial decayed up to the
//          segment's end, dST is d_final decayed down to it, and S, dS are what
//          the range does without either
struct GateGradientParams {
  LinearGrid grid;
  const float* query_dots = nullptr;  // [z_tiles][bh][tokens]
  const float* key_dots = nullptr;
  int z_tiles = 1;
  StateSlots states;    // S at the end of each segment
  StateSlots d_states;  // dS there
  StateSlots initial;
  StateSlots d_final;
  const float* segment_log2 = nullptr;
  const float* entering_log2 = nullptr;
  const float* following_log2 = nullptr;
  int64_t y_dim = 0;
  int64_t z_dim = 0;
  float* d_log_gate = nullptr;
  int64_t stride_b = 0;
  int64_t stride_t = 0;
  int64_t stride_h = 0;
  int inter = 0;
};

// One step of the recurrence per token, on states of a pool.
struct DecodeParams {
  TokenRows q, k, v, o;
  const float* log_gate = nullptr;
  int64_t gate_stride_b = 0;
  int64_t gate_stride_t = 0;
  int64_t gate_stride_h = 0;
  const float* log_decay = nullptr;
  int64_t decay_stride_h = 0;
  const int32_t* slots = nullptr;
  int64_t slot_stride = 0;
  StateSlots pool;  // stride_segment: of a slot
  int64_t pool_slots = 0;
  int64_t tokens = 0;
  int64_t heads = 0;
  int64_t batch = 0;
  int key_dim = 0;
  int value_dim = 0;
  int f32 = 0;
  int vectors = 0;  // state rows are whole aligned vectors of 16 bytes
  float scale = 1;
};

}  // namespace longspan::kernels::cuda
