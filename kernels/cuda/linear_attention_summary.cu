// What each segment adds to the state, from Y and Z alone.
#include "kernels/cuda/cuda_status.h"
#include "kernels/cuda/linear_attention_kernels.h"
#include "kernels/cuda/linear_attention_tile.cuh"

namespace longspan::kernels::cuda {
namespace {

template <class Tile>
struct SummaryLayout {
  // The walk is bound by bytes: two chunks are on their way while one is
  // multiplied.
  static constexpr int kStages = Tile::kGeneral ? 1 : 3;
  static constexpr int kY = 0;
  static constexpr int kZ = kY + Tile::kYBytes;
  static constexpr int kTable = kZ + Tile::kZBytes;
  static constexpr int kStageBytes = kTable + sizeof(DecayTable);
  static constexpr int kColumnWeights = kStages * kStageBytes;
  static constexpr int kBytes =
      kColumnWeights + kLinearChunk * static_cast<int>(sizeof(float));

  static_assert(kStageBytes % 128 == 0, "tiles start at whole bank rows");
  static_assert(kBytes <= 227 * 1024, "what a block of Hopper may have");
};

template <class Tile>
inline constexpr int kSummaryBlocks = Tile::kGeneral || Tile::kYDim == 256 ? 1
                                      : Tile::kYDim == 128                 ? 2
                                                                           : 3;

template <class Tile>
LONGSPAN_DEVICE void StageSummary(const SummaryParams& p,
                                  const SummaryRole& role,
                                  const BlockWork& work, int64_t chunk,
                                  unsigned char* stage) {
  using Layout = SummaryLayout<Tile>;
  const int rows = ChunkRows(p.grid, chunk);
  const int64_t token = chunk * kLinearChunk;
  const bool f32 = p.f32 != 0;
  StageRows<Tile, Tile::kYRowBytes>(stage + Layout::kY, role.y,
                                    RowOffset(role.y, work.b, work.h, token),
                                    rows, 0, role.y_dim, f32);
  StageRows<Tile, Tile::kZRowBytes>(
      stage + Layout::kZ, role.z, RowOffset(role.z, work.b, work.h, token),
      rows, work.z_tile * Tile::kZTile, role.z_dim, f32);
  StageTable<Tile>(stage + Layout::kTable,
                   p.grid.tables + work.bh * p.grid.chunks + chunk);
}

template <class Tile>
LONGSPAN_KERNEL(Tile::kThreads, kSummaryBlocks<Tile>)
SummaryKernel(const SummaryParams p) {
  using Layout = SummaryLayout<Tile>;
  unsigned char* shared = SharedMemory();
  auto* weights = reinterpret_cast<float*>(shared + Layout::kColumnWeights);

  const BlockWork work = BlockWorkOf(p.grid, p.role_count, p.z_tiles);
  const SummaryRole& role = p.roles[work.role];
  const bool reverse = role.reverse != 0;
  if (role.skip_last && work.segment == LastSegment(p.grid, reverse)) return;
  const ChunkWalk walk = SegmentWalk(p.grid, work.segment, reverse);

  StateTile<Tile> state;
  ClearState(state);
  if constexpr (!Tile::kGeneral) {
    for (int n = 0; n + 1 < Layout::kStages; ++n) {
      if (n < walk.count) {
        StageSummary<Tile>(p, role, work, walk.Chunk(n),
                           shared + n * Layout::kStageBytes);
      }
      CopyAsyncCommit();
    }
  }

  for (int64_t n = 0; n < walk.count; ++n) {
    unsigned char* stage = shared + n % Layout::kStages * Layout::kStageBytes;
    // Operands of this chunk; those of later ones are on their way meanwhile.
    if constexpr (Tile::kGeneral) {
      SyncBlock();  // everybody is done with the chunk before
      StageSummary<Tile>(p, role, work, walk.Chunk(n), stage);
    } else {
      CopyAsyncWait<Layout::kStages - 2>();
      SyncBlock();  // and everybody is done with the chunk before
      const int64_t next = n + Layout::kStages - 1;
      if (next < walk.count) {
        StageSummary<Tile>(
            p, role, work, walk.Chunk(next),
            shared + next % Layout::kStages * Layout::kStageBytes);
      }
      CopyAsyncCommit();
    }
    if constexpr (Tile::kGeneral) SyncBlock();

    // Weights of the chunk, for all warps.
    const auto& table =
        *reinterpret_cast<const DecayTable*>(stage + Layout::kTable);
    if (ThreadIndex() < kLinearChunk) {
      weights[ThreadIndex()] =
          role.column_scale * ColumnDecay(table, ThreadIndex(), reverse);
    }
    SyncBlock();

    // R <- total R + (weights o Y)^T Z
    UpdateState<Tile>(state, stage + Layout::kY, stage + Layout::kZ, weights,
                      DecayOfChunk(table), role.precise != 0);
  }
  StoreState(StateOf<Tile>(role.states, role.y_dim, role.z_dim, work), state);
}

template <class Tile>
absl::Status Launch(const SummaryParams& params, void* stream) {
  const int64_t blocks =
      LinearBlocks(params.grid, params.role_count, params.z_tiles);
  const LaunchShape shape = {blocks, Tile::kThreads,
                             SummaryLayout<Tile>::kBytes};
  return LaunchStatus(LaunchKernel(SummaryKernel<Tile>, shape, stream, params),
                      "SummaryKernel", shape);
}

}  // namespace

absl::Status LaunchSummary(LinearTileKind kind, const SummaryParams& params,
                           void* stream) {
  return WithLinearTile(
      kind, [&](auto tile) { return Launch<decltype(tile)>(params, stream); });
}

}  // namespace longspan::kernels::cuda
