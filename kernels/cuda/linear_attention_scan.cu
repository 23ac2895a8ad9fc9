// The scan kernel: outputs, and the gradients of q, k and v.
#include "kernels/cuda/cuda_status.h"
#include "kernels/cuda/linear_attention_kernels.h"
#include "kernels/cuda/linear_attention_scan.cuh"

namespace longspan::kernels::cuda {
namespace {

// Blocks per SM: as many as leave the registers that a thread needs without
// spilling; R^T (kYDim / 2) and out^T (32) live through a chunk.
template <class Tile>
inline constexpr int kScanBlocks = !Tile::kGeneral && Tile::kYDim == 64 ? 2 : 1;

template <class Tile>
LONGSPAN_KERNEL(Tile::kThreads, kScanBlocks<Tile>)
ScanKernel(const ScanParams p) {
  using Layout = ScanLayout<Tile>;
  unsigned char* shared = SharedMemory();
  auto* row_weights = reinterpret_cast<float*>(shared + Layout::kRowWeights);
  auto* column_weights =
      reinterpret_cast<float*>(shared + Layout::kColumnWeights);
  auto* dots = reinterpret_cast<float*>(shared + Layout::kDots);
  unsigned char* scores = shared + Layout::kScores;

  const BlockWork work = BlockWorkOf(p.grid, p.role_count, p.z_tiles);
  const ScanRole& role = p.roles[work.role];
  const bool reverse = role.reverse != 0;
  const ChunkWalk walk = SegmentWalk(p.grid, work.segment, reverse);
  // Dots are summed over tokens with terms that cancel, state against state.
  const bool precise = role.dots != nullptr;
  const bool leaves = role.leaving.data != nullptr &&
                      work.segment == LastSegment(p.grid, reverse);

  StateTile<Tile> state;
  LoadState(StateOf<Tile>(role.entering, role.y_dim, role.z_dim, work),
            EnteringFactor(p, role, work), state);
  if constexpr (!Tile::kGeneral) {
    StageScan<Tile>(p, role, work, walk.Chunk(0), shared);
  }

  for (int64_t n = 0; n < walk.count; ++n) {
    unsigned char* stage = shared + n % Layout::kStages * Layout::kStageBytes;
    // Operands of this chunk; those of the next are on their way meanwhile.
    if constexpr (Tile::kGeneral) {
      SyncBlock();  // everybody is done with the chunk before
      StageScan<Tile>(p, role, work, walk.Chunk(n), stage);
      SyncBlock();
    } else {
      CopyAsyncWait<0>();
      SyncBlock();  // and everybody is done with the chunk before
      if (n + 1 < walk.count) {
        StageScan<Tile>(
            p, role, work, walk.Chunk(n + 1),
            shared + (n + 1) % Layout::kStages * Layout::kStageBytes);
      }
    }
    const auto& table =
        *reinterpret_cast<const DecayTable*>(stage + Layout::kTable);

    // Scores and weights of the chunk, for all warps.
    WriteWeights<Tile>(table, role, row_weights, column_weights);
    if (!p.inter) WriteScores<Tile>(role, stage, scores);
    SyncBlock();

    // out = weights o X R + scores Z
    OutputTile out;
    MultiplyState<Tile>(state, stage + Layout::kX, row_weights, precise, out);
    if (!p.inter) {
      MultiplyScores<Tile>(stage + Layout::kZ, scores, reverse, out);
    }

    // R <- total R + (weights o Y)^T Z
    if (n + 1 < walk.count || leaves) {
      const float total = DecayOfChunk(table);
      if (p.inter) {
        ScaleState(state, total);
      } else {
        UpdateState<Tile>(state, stage + Layout::kY, stage + Layout::kZ,
                          column_weights, total, precise);
      }
    }

    if (role.dots != nullptr) {
      WriteDots<Tile>(p, role, work, walk.Chunk(n), out, dots);
    }
    if constexpr (Tile::kGeneral) {
      StoreElements<Tile>(p, role, work, walk.Chunk(n), out);
    } else {
      StoreRounded<Tile>(p, role, work, walk.Chunk(n), out, stage + Layout::kZ);
    }
  }
  if (leaves) {
    StoreState(StateOf<Tile>(role.leaving, role.y_dim, role.z_dim, work),
               state);
  }
}

template <class Tile>
absl::Status Launch(const ScanParams& params, void* stream) {
  const int64_t blocks =
      LinearBlocks(params.grid, params.role_count, params.z_tiles);
  const LaunchShape shape = {blocks, Tile::kThreads, ScanLayout<Tile>::kBytes};
  return LaunchStatus(LaunchKernel(ScanKernel<Tile>, shape, stream, params),
                      "ScanKernel", shape);
}

}  // namespace

absl::Status LaunchScan(LinearTileKind kind, const ScanParams& params,
                        void* stream) {
  return WithLinearTile(
      kind, [&](auto tile) { return Launch<decltype(tile)>(params, stream); });
}

}  // namespace longspan::kernels::cuda
