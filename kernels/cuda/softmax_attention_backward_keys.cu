// d_k and d_v: a block per tile of keys (softmax_attention_backward.h).
#include "kernels/cuda/softmax_attention_backward.h"
#include "kernels/cuda/softmax_attention_launch.h"

namespace longspan::kernels::cuda {
namespace {

// Which gradients a walk makes. Heads beyond 128 have no registers for both.
enum class Makes { kBoth, kValues, kKeys };

struct KeysBlock {
  int64_t batch;
  int64_t key_head;
  int first_key;
  AttentionSpan span;  // of queries
  int first_tile;      // of queries
  int tiles;           // of one query head
};

template <typename Tile>
LONGSPAN_DEVICE KeysBlock FindKeysBlock(const SoftmaxBackwardParams& p) {
  const AttentionPlace place = PlaceOfBlock(p.shape.order, BlockIndex());
  const int key_heads = p.shape.heads / p.shape.group;
  const int key_tokens = p.shape.visible.key_tokens;
  KeysBlock block;
  block.batch = place.unit / key_heads;
  block.key_head = place.unit % key_heads;
  block.first_key = place.row_tile * Tile::kRows;
  const int past = block.first_key + Tile::kRows;
  block.span =
      SpanOfRows(QueriesOfKey(p.shape.visible, block.first_key),
                 QueriesOfKey(p.shape.visible,
                              (past < key_tokens ? past : key_tokens) - 1));
  block.first_tile = block.span.begin / Tile::kColumns;
  block.tiles =
      block.span.end > block.span.begin
          ? (block.span.end - 1) / Tile::kColumns + 1 - block.first_tile
          : 0;
  return block;
}

// Q, dO, and the two numbers of tile `i` of the walk.
template <typename Tile>
LONGSPAN_DEVICE void LoadQueries(const SoftmaxBackwardParams& p,
                                 const KeysBlock& block, int64_t i, int stage) {
  const int queries = p.shape.visible.query_tokens;
  const int64_t head = block.key_head * p.shape.group + i / block.tiles;
  const int first =
      (block.first_tile + static_cast<int>(i % block.tiles)) * Tile::kColumns;
  LoadColumnTile<Tile>(
      p, stage, 0, RowsOf<Tile::kPlanes>(p.q, block.batch, head, 1, queries),
      first);
  LoadColumnTile<Tile>(
      p, stage, 1, RowsOf<Tile::kPlanes>(p.d_o, block.batch, head, 1, queries),
      first);
  const int64_t row = (block.batch * p.shape.heads + head) * queries + first;
  for (int c = ThreadIndex(); c < 2 * Tile::kColumns;
       c += kCudaAttentionThreads) {
    const int column = c % Tile::kColumns;
    const int which = c / Tile::kColumns;
    const float* from = which == 0 ? p.log_sum : p.delta;
    const bool exists = first + column < queries;
    CopyAsync4(ColumnNumbers<Tile>(stage, which) + column,
               exists ? from + row + column : from, exists ? 4 : 0);
  }
}

// scores = exp2(c scores - log_sum of the column).
template <typename Tile>
LONGSPAN_DEVICE void ToProbabilities(typename Tile::Scores& scores,
                                     float scale_log2, const float* log_sum) {
  LONGSPAN_UNROLL
  for (int n = 0; n < Tile::kTiles; ++n) {
    LONGSPAN_UNROLL
    for (int i = 0; i < 4; ++i) {
      scores[0][n][i] = Exp2(scores[0][n][i] * scale_log2 -
                             log_sum[8 * n + LaneIndex() % 4 * 2 + i % 2]);
    }
  }
}

// scores = scores (products - delta of the column).
template <typename Tile>
LONGSPAN_DEVICE void ToScoreGradients(typename Tile::Scores& scores,
                                      const typename Tile::Scores& products,
                                      const float* delta) {
  LONGSPAN_UNROLL
  for (int n = 0; n < Tile::kTiles; ++n) {
    LONGSPAN_UNROLL
    for (int i = 0; i < 4; ++i) {
      scores[0][n][i] *=
          products[0][n][i] - delta[8 * n + LaneIndex() % 4 * 2 + i % 2];
    }
  }
}

template <typename Tile, Makes kMakes>
LONGSPAN_DEVICE void AddQueries(const SoftmaxBackwardParams& p, int stage,
                                int first, int warp_row,
                                const AttentionSpan& span,
                                const AttentionRange (&sees)[2],
                                typename Tile::Sums& d_k,
                                typename Tile::Sums& d_v) {
  constexpr int kDim = Tile::kDim, kPlanes = Tile::kPlanes;
  const unsigned char* const keys = SharedMemory();
  const unsigned char* const values = SharedMemory() + Tile::kRowBytes;
  const unsigned char* const queries = ColumnTile<Tile>(stage, 0);
  const unsigned char* const d_o = ColumnTile<Tile>(stage, 1);
  typename Tile::Scores scores;
  typename Tile::Packed packed;
  MultiplyRows<kDim, kPlanes, Tile::kRows>(scores, keys, warp_row, queries);
  ToProbabilities<Tile>(scores, p.shape.scale_log2,
                        ColumnNumbers<Tile>(stage, 0));
  if (NeedsMask<Tile>(span, first)) {
    MaskProbabilities<Tile>(scores, sees, first);
  }
  if constexpr (kMakes != Makes::kKeys) {
    PackScores<Tile>(scores, packed);
    MultiplyScores<kDim, kPlanes>(d_v, packed, d_o);
  }
  if constexpr (kMakes != Makes::kValues) {
    typename Tile::Scores products;
    MultiplyRows<kDim, kPlanes, Tile::kRows>(products, values, warp_row, d_o);
    ToScoreGradients<Tile>(scores, products, ColumnNumbers<Tile>(stage, 1));
    PackScores<Tile>(scores, packed);
    MultiplyScores<kDim, kPlanes>(d_k, packed, queries);
  }
}

template <int kDim, int kPlanes, Makes kMakes>
LONGSPAN_KERNEL(kCudaAttentionThreads, kDim* kPlanes <= 128 ? 2 : 1)
BackwardKeysKernel(const SoftmaxBackwardParams p) {
  using Tile = BackwardTile<kDim, kPlanes>;
  const KeysBlock block = FindKeysBlock<Tile>(p);
  const int key_tokens = p.shape.visible.key_tokens;
  const int warp_row = WarpIndex() * 16;
  const int row = block.first_key + warp_row;
  AttentionRange sees[2];
  for (int half = 0; half < 2; ++half) {
    const int key = row + LaneRow(0, half);
    sees[half] =
        QueriesOfKey(p.shape.visible, key < key_tokens ? key : key_tokens - 1);
  }
  typename Tile::Sums d_k, d_v;
  ClearSums<Tile>(d_k);
  ClearSums<Tile>(d_v);
  if (block.tiles > 0) {
    LoadRowTile<Tile>(
        p, 0, RowsOf<kPlanes>(p.k, block.batch, block.key_head, 1, key_tokens),
        block.first_key);
    if constexpr (kMakes != Makes::kValues) {
      LoadRowTile<Tile>(
          p, 1,
          RowsOf<kPlanes>(p.v, block.batch, block.key_head, 1, key_tokens),
          block.first_key);
    }
  }
  WalkColumns<Tile>(
      int64_t{p.shape.group} * block.tiles,
      [&](int64_t i, int stage) { LoadQueries<Tile>(p, block, i, stage); },
      [&](int64_t i, int stage) {
        const int first =
            (block.first_tile + static_cast<int>(i % block.tiles)) *
            Tile::kColumns;
        if (row >= key_tokens) return;
        AddQueries<Tile, kMakes>(p, stage, first, warp_row, block.span, sees,
                                 d_k, d_v);
      });
  if constexpr (kMakes != Makes::kValues) {
    StoreGradient<Tile>(p, 0, d_k, p.shape.scale, p.d_k, block.batch,
                        block.key_head, key_tokens, block.first_key, warp_row);
  }
  if constexpr (kMakes != Makes::kKeys) {
    StoreGradient<Tile>(p, 1, d_v, 1.0f, p.d_v, block.batch, block.key_head,
                        key_tokens, block.first_key, warp_row);
  }
}

template <int kDim, int kPlanes, Makes kMakes>
int LaunchOne(const CudaAttentionGrid& grid, SoftmaxBackwardParams params,
              void* native_stream) {
  // The first keys are seen by most queries.
  params.shape.order = {grid.units, grid.section_units,
                        static_cast<int>(grid.row_tiles), false};
  return LaunchKernel(
      BackwardKeysKernel<kDim, kPlanes, kMakes>,
      {grid.blocks, kCudaAttentionThreads, grid.tile.shared_bytes},
      native_stream, params);
}

template <int kPlanes>
int Launch(const CudaAttentionBackwardPlan& plan,
           const SoftmaxBackwardParams& params, void* native_stream) {
  const CudaAttentionGrid& grid = plan.by_key;
  if (plan.padded_dim == 64) {
    return LaunchOne<64, kPlanes, Makes::kBoth>(grid, params, native_stream);
  }
  if (plan.padded_dim == 128) {
    return LaunchOne<128, kPlanes, Makes::kBoth>(grid, params, native_stream);
  }
  const int error =
      LaunchOne<256, kPlanes, Makes::kValues>(grid, params, native_stream);
  if (error != 0) return error;
  return LaunchOne<256, kPlanes, Makes::kKeys>(grid, params, native_stream);
}

}  // namespace

int LaunchSoftmaxBackwardKeys(const CudaAttentionBackwardPlan& plan,
                              const SoftmaxBackwardParams& params,
                              void* native_stream) {
  return plan.planes == 1 ? Launch<1>(plan, params, native_stream)
                          : Launch<2>(plan, params, native_stream);
}

}  // namespace longspan::kernels::cuda
