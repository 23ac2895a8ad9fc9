#include "kernels/cuda/device/device.h"
#include "tests/kernels/cuda/device/sample_matmul.h"

// Four warps make a tile of 64 x 64 sums, each of them 16 rows. The tiles of a
// and b for one step of 32 k come by cp.async, one step ahead, into two
// buffers; ldmatrix takes them to the operands of mma.sync.

namespace longspan::kernels::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kRows = 64;     // of out per block
constexpr int kColumns = 64;  // of out per block
constexpr int kStep = 32;     // of k
constexpr int kTilesN = kColumns / 8;

// Shared memory: two of these.
struct Stage {
  static constexpr uint32_t kRowBytesA = kStep * 2;     // sA (rows, step)
  static constexpr uint32_t kRowBytesB = kColumns * 2;  // sB (step, columns)
  static constexpr uint32_t kA = 0;
  static constexpr uint32_t kB = kA + kRows * kRowBytesA;
  static constexpr uint32_t kBytes = kB + kStep * kRowBytesB;
};
static_assert(Stage::kB % 128 == 0 && Stage::kBytes % 128 == 0);

LONGSPAN_DEVICE unsigned char* StageOf(int64_t step) {
  return SharedMemory() + step % 2 * Stage::kBytes;
}

struct Place {
  int64_t row;     // of out, the block's first
  int64_t column;  // likewise
};

// Copies `rows` x `columns16` pieces of 16 bytes of a row-major matrix into a
// swizzled tile; what lies outside of the matrix becomes 0.
template <int kTileRows, int kColumns16>
LONGSPAN_DEVICE void LoadTile(unsigned char* tile, const Bf16* matrix,
                              int64_t first_row, int64_t first_column,
                              int64_t rows, int64_t columns) {
  static_assert(kTileRows * kColumns16 % kThreads == 0);
  LONGSPAN_UNROLL
  for (int i = 0; i < kTileRows * kColumns16 / kThreads; ++i) {
    const int piece = i * kThreads + ThreadIndex();
    const int r = piece / kColumns16;
    const int c = piece % kColumns16;
    const int64_t row = first_row + r;
    const int64_t column = first_column + 8 * c;
    const bool inside = row < rows && column < columns;
    const Bf16* source = inside ? matrix + row * columns + column : matrix;
    const uint32_t offset = SwizzledOffset(r, c, kColumns16 * 16);
    CopyAsync16(tile + offset, source, inside ? 16 : 0);
  }
}

LONGSPAN_DEVICE void LoadStage(const SampleMatmulParams& p, const Place& place,
                               int64_t step, unsigned char* stage) {
  LoadTile<kRows, kStep / 8>(stage + Stage::kA, p.a, place.row, step * kStep,
                             p.m, p.k);
  LoadTile<kStep, kColumns / 8>(stage + Stage::kB, p.b, step * kStep,
                                place.column, p.k, p.n);
}

// sums (16, 64) += sA (16 rows of this warp, 32) sB (32, 64).
LONGSPAN_DEVICE void MultiplyStage(const unsigned char* stage,
                                   float (&sums)[kTilesN][4]) {
  const int lane = LaneIndex();
  LONGSPAN_UNROLL
  for (int k16 = 0; k16 < kStep / 16; ++k16) {
    uint32_t a[4];
    const int row_a = 16 * WarpIndex() + lane % 16;
    LoadMatrix4(
        a, stage + Stage::kA +
               SwizzledOffset(row_a, 2 * k16 + lane / 16, Stage::kRowBytesA));
    LONGSPAN_UNROLL
    for (int tile = 0; tile < kTilesN; tile += 2) {
      uint32_t b[4];
      const int row_b = 16 * k16 + lane % 16;
      LoadMatrix4Transposed(
          b, stage + Stage::kB +
                 SwizzledOffset(row_b, tile + lane / 16, Stage::kRowBytesB));
      const uint32_t left[2] = {b[0], b[1]};
      const uint32_t right[2] = {b[2], b[3]};
      MmaBf16(sums[tile], a, left);
      MmaBf16(sums[tile + 1], a, right);
    }
  }
}

LONGSPAN_DEVICE void StoreSums(const SampleMatmulParams& p, const Place& place,
                               const float (&sums)[kTilesN][4]) {
  const int64_t row = place.row + 16 * WarpIndex() + LaneIndex() / 4;
  LONGSPAN_UNROLL
  for (int tile = 0; tile < kTilesN; ++tile) {
    const int64_t column = place.column + 8 * tile + 2 * (LaneIndex() % 4);
    LONGSPAN_UNROLL
    for (int half = 0; half < 2; ++half) {
      if (row + 8 * half < p.m && column < p.n) {
        float* out = p.out + (row + 8 * half) * p.n + column;
        out[0] = sums[tile][2 * half];
        out[1] = sums[tile][2 * half + 1];
      }
    }
  }
}

LONGSPAN_KERNEL(kThreads, 2) MatmulKernel(const SampleMatmulParams p) {
  const int64_t blocks_n = (p.n + kColumns - 1) / kColumns;
  const Place place{BlockIndex() / blocks_n * kRows,
                    BlockIndex() % blocks_n * kColumns};
  const int64_t steps = (p.k + kStep - 1) / kStep;
  float sums[kTilesN][4] = {};

  LoadStage(p, place, 0, StageOf(0));
  CopyAsyncCommit();
  for (int64_t step = 0; step < steps; ++step) {
    if (step + 1 < steps) {
      LoadStage(p, place, step + 1, StageOf(step + 1));
    }
    CopyAsyncCommit();   // an empty group at the end keeps the count
    CopyAsyncWait<1>();  // this step's tiles, my part of them
    SyncBlock();         // and everybody's
    MultiplyStage(StageOf(step), sums);
    SyncBlock();  // read, before the next step's copies overwrite
  }
  StoreSums(p, place, sums);
}

}  // namespace

int SampleMatmul(const SampleMatmulParams& params, void* native_stream) {
  const int64_t blocks =
      (params.m + kRows - 1) / kRows * ((params.n + kColumns - 1) / kColumns);
  LaunchShape shape;
  shape.blocks = blocks;
  shape.threads = kThreads;
  shape.shared_bytes = 2 * Stage::kBytes;
  return LaunchKernel(MatmulKernel, shape, native_stream, params);
}

}  // namespace longspan::kernels::cuda
