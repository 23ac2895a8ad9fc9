// The pass over rows, and d_q: a block per tile of queries
// (softmax_attention_backward.h).
#include "kernels/cuda/softmax_attention_backward.h"
#include "kernels/cuda/softmax_attention_launch.h"

namespace longspan::kernels::cuda {
namespace {

inline constexpr float kInfinity = __builtin_huge_valf();
inline constexpr float kLog2E = 1.44269504088896341f;

template <int kPlanes>
LONGSPAN_DEVICE float ElementAt(const AttentionOperand& operand, int64_t at) {
  if constexpr (kPlanes == 1) {
    return ToFloat(static_cast<const Bf16*>(operand.data)[at]);
  } else {
    return static_cast<const float*>(operand.data)[at];
  }
}

// A warp per query of a head.
template <int kPlanes>
LONGSPAN_KERNEL(kCudaAttentionThreads, 1)
BackwardRowsKernel(const SoftmaxBackwardParams p) {
  const int64_t queries = p.shape.visible.query_tokens;
  const int64_t row = BlockIndex() * kCudaAttentionWarps + WarpIndex();
  if (row >= p.batch * p.shape.heads * queries) return;
  const int64_t batch = row / queries / p.shape.heads;
  const int64_t head = row / queries % p.shape.heads;
  const int64_t query = row % queries;
  const auto offset = [&](const AttentionOperand& x) {
    return batch * x.batch_stride + query * x.token_stride +
           head * x.head_stride;
  };
  float sum = 0.0f;
  for (int c = LaneIndex(); c < p.shape.head_dim; c += 32) {
    sum += ElementAt<kPlanes>(p.o, offset(p.o) + c) *
           ElementAt<kPlanes>(p.d_o, offset(p.d_o) + c);
  }
  sum = WarpSum(sum);
  if (LaneIndex() != 0) return;
  const float lse =
      p.lse[batch * p.lse_batch_stride + head * p.lse_head_stride + query];
  p.delta[row] = sum;
  p.log_sum[row] = lse == -kInfinity ? kInfinity : lse * kLog2E;
}

struct QueriesBlock {
  int64_t batch;
  int64_t head;
  int first_query;
  AttentionSpan span;  // of keys
  int first_tile;
  int tiles;
};

template <typename Tile>
LONGSPAN_DEVICE QueriesBlock FindQueriesBlock(const SoftmaxBackwardParams& p) {
  const AttentionPlace place = PlaceOfBlock(p.shape.order, BlockIndex());
  const int queries = p.shape.visible.query_tokens;
  QueriesBlock block;
  block.batch = place.unit / p.shape.heads;
  block.head = place.unit % p.shape.heads;
  block.first_query = place.row_tile * Tile::kRows;
  const int past = block.first_query + Tile::kRows;
  block.span = SpanOfRows(
      KeysOfQuery(p.shape.visible, block.first_query),
      KeysOfQuery(p.shape.visible, (past < queries ? past : queries) - 1));
  block.first_tile = block.span.begin / Tile::kColumns;
  block.tiles =
      block.span.end > block.span.begin
          ? (block.span.end - 1) / Tile::kColumns + 1 - block.first_tile
          : 0;
  return block;
}

// A lane's two rows.
struct LaneRows {
  AttentionRange sees[2];
  float log_sum[2];
  float delta[2];
};

LONGSPAN_DEVICE LaneRows ReadLaneRows(const SoftmaxBackwardParams& p,
                                      const QueriesBlock& block, int row) {
  const int queries = p.shape.visible.query_tokens;
  const int64_t base = (block.batch * p.shape.heads + block.head) * queries;
  LaneRows lane;
  for (int half = 0; half < 2; ++half) {
    const int at = row + LaneRow(0, half);
    const int query = at < queries ? at : queries - 1;
    lane.sees[half] = KeysOfQuery(p.shape.visible, query);
    lane.log_sum[half] = at < queries ? p.log_sum[base + query] : kInfinity;
    lane.delta[half] = at < queries ? p.delta[base + query] : 0.0f;
  }
  return lane;
}

template <typename Tile>
LONGSPAN_DEVICE void AddKeys(const SoftmaxBackwardParams& p, int stage,
                             int first, int warp_row, const AttentionSpan& span,
                             const LaneRows& lane, typename Tile::Sums& d_q) {
  constexpr int kDim = Tile::kDim, kPlanes = Tile::kPlanes;
  const unsigned char* const queries = SharedMemory();
  const unsigned char* const d_o = SharedMemory() + Tile::kRowBytes;
  const unsigned char* const keys = ColumnTile<Tile>(stage, 0);
  const unsigned char* const values = ColumnTile<Tile>(stage, 1);
  typename Tile::Scores scores, products;
  typename Tile::Packed packed;
  MultiplyRows<kDim, kPlanes, Tile::kRows>(scores, queries, warp_row, keys);
  LONGSPAN_UNROLL
  for (int i = 0; i < 4 * Tile::kTiles; ++i) {
    scores[0][i / 4][i % 4] = Exp2(
        scores[0][i / 4][i % 4] * p.shape.scale_log2 - lane.log_sum[i % 4 / 2]);
  }
  if (NeedsMask<Tile>(span, first)) {
    MaskProbabilities<Tile>(scores, lane.sees, first);
  }
  MultiplyRows<kDim, kPlanes, Tile::kRows>(products, d_o, warp_row, values);
  LONGSPAN_UNROLL
  for (int i = 0; i < 4 * Tile::kTiles; ++i) {
    scores[0][i / 4][i % 4] *=
        products[0][i / 4][i % 4] - lane.delta[i % 4 / 2];
  }
  PackScores<Tile>(scores, packed);
  MultiplyScores<kDim, kPlanes>(d_q, packed, keys);
}

template <int kDim, int kPlanes>
LONGSPAN_KERNEL(kCudaAttentionThreads, kDim* kPlanes <= 128 ? 2 : 1)
BackwardQueriesKernel(const SoftmaxBackwardParams p) {
  using Tile = BackwardTile<kDim, kPlanes>;
  const QueriesBlock block = FindQueriesBlock<Tile>(p);
  const int queries = p.shape.visible.query_tokens;
  const int key_tokens = p.shape.visible.key_tokens;
  const int64_t key_head = block.head / p.shape.group;
  const int warp_row = WarpIndex() * 16;
  const int row = block.first_query + warp_row;
  const LaneRows lane = ReadLaneRows(p, block, row);
  typename Tile::Sums d_q;
  ClearSums<Tile>(d_q);
  if (block.tiles > 0) {
    LoadRowTile<Tile>(p, 0,
                      RowsOf<kPlanes>(p.q, block.batch, block.head, 1, queries),
                      block.first_query);
    LoadRowTile<Tile>(
        p, 1, RowsOf<kPlanes>(p.d_o, block.batch, block.head, 1, queries),
        block.first_query);
  }
  const AttentionRows k =
      RowsOf<kPlanes>(p.k, block.batch, key_head, 1, key_tokens);
  const AttentionRows v =
      RowsOf<kPlanes>(p.v, block.batch, key_head, 1, key_tokens);
  const auto first_of = [&](int64_t i) {
    return (block.first_tile + static_cast<int>(i)) * Tile::kColumns;
  };
  WalkColumns<Tile>(
      block.tiles,
      [&](int64_t i, int stage) {
        LoadColumnTile<Tile>(p, stage, 0, k, first_of(i));
        LoadColumnTile<Tile>(p, stage, 1, v, first_of(i));
      },
      [&](int64_t i, int stage) {
        if (row >= queries) return;
        AddKeys<Tile>(p, stage, first_of(i), warp_row, block.span, lane, d_q);
      });
  StoreGradient<Tile>(p, 0, d_q, p.shape.scale, p.d_q, block.batch, block.head,
                      queries, block.first_query, warp_row);
}

template <int kDim, int kPlanes>
int Launch(const CudaAttentionGrid& grid, SoftmaxBackwardParams params,
           void* native_stream) {
  params.shape.order = {grid.units, grid.section_units,
                        static_cast<int>(grid.row_tiles), true};
  return LaunchKernel(
      BackwardQueriesKernel<kDim, kPlanes>,
      {grid.blocks, kCudaAttentionThreads, grid.tile.shared_bytes},
      native_stream, params);
}

}  // namespace

int LaunchSoftmaxBackwardRows(const CudaAttentionBackwardPlan& plan,
                              const SoftmaxBackwardParams& params,
                              void* native_stream) {
  const int64_t rows =
      params.batch * params.shape.heads * params.shape.visible.query_tokens;
  const LaunchShape shape = {
      (rows + kCudaAttentionWarps - 1) / kCudaAttentionWarps,
      kCudaAttentionThreads, 0};
  return plan.planes == 1
             ? LaunchKernel(BackwardRowsKernel<1>, shape, native_stream, params)
             : LaunchKernel(BackwardRowsKernel<2>, shape, native_stream,
                            params);
}

int LaunchSoftmaxBackwardQueries(const CudaAttentionBackwardPlan& plan,
                                 const SoftmaxBackwardParams& params,
                                 void* native_stream) {
  const CudaAttentionGrid& grid = plan.by_query;
  switch (plan.padded_dim * plan.planes + plan.planes) {
    case 64 + 1:
      return Launch<64, 1>(grid, params, native_stream);
    case 128 + 1:
      return Launch<128, 1>(grid, params, native_stream);
    case 256 + 1:
      return Launch<256, 1>(grid, params, native_stream);
    case 128 + 2:
      return Launch<64, 2>(grid, params, native_stream);
    case 256 + 2:
      return Launch<128, 2>(grid, params, native_stream);
    default:
      return Launch<256, 2>(grid, params, native_stream);
  }
}

}  // namespace longspan::kernels::cuda
