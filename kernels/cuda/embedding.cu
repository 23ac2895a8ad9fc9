// Rows of the embedding table, and their gradient without atomics: a block
// owns a slice of the vocabulary and a tile of columns, reads all ids, lists
// the tokens whose rows it owns in order, and adds them to the table one after
// the other. An id outside the vocabulary counts as row 0.
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "kernels/api/dense_operands.h"
#include "kernels/cost/cuda_op_plan.h"
#include "kernels/cuda/dense.h"
#include "kernels/cuda/element_pack.h"
#include "kernels/cuda/op_launch.h"
#include "kernels/cuda/row_views.h"

namespace longspan::kernels::cuda {
namespace {

// Tokens that a block lists before it adds them, and ids it reads at once.
constexpr int kListTokens = 1024;
constexpr int kScanIds = kCudaThreads;

struct EmbedParams {
  const int32_t* ids;
  const void* table;
  void* rows;  // out, or d_out
  float* d_table;
  int64_t table_stride;
  int64_t row_stride;
  int64_t tokens;
  int64_t vocabulary;
  int64_t size;
  int64_t packs_per_row;
  CudaEmbedPlan plan;  // backward
  bool wide;
};

// A block's shared memory.
struct EmbedShared {
  int64_t tokens[kListTokens];
  int64_t rows[kListTokens];
  int warp_counts[kCudaThreads / kWarpThreads];
};

LONGSPAN_DEVICE int64_t RowOfId(const EmbedParams& p, int64_t token) {
  const int64_t id = p.ids[token];
  return id >= 0 && id < p.vocabulary ? id : 0;
}

template <typename Table, typename T>
LONGSPAN_KERNEL(kCudaThreads, 2)
EmbedKernel(const EmbedParams p) {
  const int64_t pack = BlockIndex() * kCudaThreads + ThreadIndex();
  const int64_t token = pack / p.packs_per_row;
  if (token >= p.tokens) return;
  const int64_t column = (pack - token * p.packs_per_row) * kPackElements;
  const int64_t count = p.size - column;
  const Table* from = static_cast<const Table*>(p.table) +
                      RowOfId(p, token) * p.table_stride + column;
  T* to = static_cast<T*>(p.rows) + token * p.row_stride + column;
  StorePack(LoadPack(from, count, p.wide), to, count, p.wide);
}

// Appends the tokens of [first, first + kScanIds) that fall into the slice,
// in order, and returns the list's new length. All threads take part.
LONGSPAN_DEVICE int ListTokens(const EmbedParams& p, int64_t first,
                               int64_t begin_row, int64_t end_row, int listed,
                               EmbedShared* shared) {
  const int64_t token = first + ThreadIndex();
  const int64_t row = token < p.tokens ? RowOfId(p, token) : -1;
  const bool owned = row >= begin_row && row < end_row;
  const uint32_t ballot = WarpBallot(owned);
  int before = 0;
  int in_warp = 0;
  LONGSPAN_UNROLL
  for (int lane = 0; lane < kWarpThreads; ++lane) {
    const int bit = static_cast<int>((ballot >> lane) & 1u);
    in_warp += bit;
    if (lane < LaneIndex()) before += bit;
  }
  if (LaneIndex() == 0) shared->warp_counts[WarpIndex()] = in_warp;
  SyncBlock();
  int total = 0;
  LONGSPAN_UNROLL
  for (int warp = 0; warp < kCudaThreads / kWarpThreads; ++warp) {
    if (warp == WarpIndex()) before += total;
    total += shared->warp_counts[warp];
  }
  if (owned) {
    shared->tokens[listed + before] = token;
    shared->rows[listed + before] = row;
  }
  SyncBlock();  // the list is whole, and the counts may be written again
  return listed + total;
}

// Every team adds the listed tokens whose rows are its own.
template <typename T>
LONGSPAN_DEVICE void AddListed(const EmbedParams& p, int listed, int team,
                               int64_t column, const EmbedShared* shared) {
  const int64_t count = p.size - column;
  if (count <= 0) return;
  for (int i = 0; i < listed; ++i) {
    const int64_t row = shared->rows[i];
    if (row % p.plan.teams != team) continue;
    const T* from = static_cast<const T*>(p.rows) +
                    shared->tokens[i] * p.row_stride + column;
    float* to = p.d_table + row * p.table_stride + column;
    const Pack gradient = LoadPack(from, count, p.wide);
    Pack sum = LoadPack(to, count, p.wide);
    LONGSPAN_UNROLL
    for (int e = 0; e < kPackElements; ++e) sum.v[e] += gradient.v[e];
    StorePack(sum, to, count, p.wide);
  }
}

template <typename T>
LONGSPAN_KERNEL(kCudaThreads, 2)
EmbedBackwardKernel(const EmbedParams p) {
  auto* shared = reinterpret_cast<EmbedShared*>(SharedMemory());
  const int64_t slice = BlockIndex() / p.plan.column_tiles;
  const int64_t tile = BlockIndex() - slice * p.plan.column_tiles;
  const int64_t begin_row = slice * p.plan.slice_rows;
  const int64_t end_row = begin_row + p.plan.slice_rows;
  const int team = ThreadIndex() / p.plan.lanes;
  const int64_t column =
      (tile * p.plan.lanes + ThreadIndex() % p.plan.lanes) * kPackElements;
  int listed = 0;
  for (int64_t first = 0; first < p.tokens; first += kScanIds) {
    listed = ListTokens(p, first, begin_row, end_row, listed, shared);
    if (listed + kScanIds <= kListTokens && first + kScanIds < p.tokens) {
      continue;
    }
    AddListed<T>(p, listed, team, column, shared);
    listed = 0;  // written again behind the first barrier of ListTokens
  }
}

// Row 0 stands in for ids outside the vocabulary.
absl::Status CheckVocabulary(const char* op, ConstTensorView ids,
                             ConstTensorView table) {
  if (table.size(0) > 0 || ids.size(0) == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(op, ": table ", table.DebugString(), " has no rows for ",
                   ids.size(0), " ids, needs at least 1"));
}

EmbedParams ParamsOf(ConstTensorView ids, ConstTensorView table,
                     ConstTensorView rows) {
  EmbedParams params = {};
  params.ids = ids.data_as<int32_t>();
  params.table_stride = table.stride(0);
  params.rows = const_cast<void*>(rows.data());
  params.row_stride = rows.stride(0);
  params.tokens = rows.size(0);
  params.vocabulary = table.size(0);
  params.size = table.size(1);
  params.packs_per_row = (params.size + kPackElements - 1) / kPackElements;
  params.wide = AllowsVectors(table) && AllowsVectors(rows);
  return params;
}

}  // namespace

absl::Status CudaDense::MatMul(ConstTensorView a, ConstTensorView b,
                               TensorView c, const MatMulOptions& options,
                               Stream& stream) {
  RETURN_IF_ERROR(CheckMatMul(a, b, c, options, kCudaOperands));
  return gemm_.Run(a, b, c, options, stream);
}

absl::Status CudaDense::Embed(ConstTensorView ids, ConstTensorView table,
                              TensorView out, Stream& stream) {
  RETURN_IF_ERROR(CheckEmbed(ids, table, out, kCudaOperands));
  RETURN_IF_ERROR(CheckVocabulary("Embed", ids, table));
  EmbedParams params = ParamsOf(ids, table, out);
  params.table = table.data();
  const int64_t packs = params.tokens * params.packs_per_row;
  const LaunchShape shape = {CudaBlocks(packs), kCudaThreads, 0};
  if (out.dtype() == DType::kF32) {
    return Launch("Embed", EmbedKernel<float, float>, shape, stream, params);
  }
  return table.dtype() == DType::kF32
             ? Launch("Embed", EmbedKernel<float, Bf16>, shape, stream, params)
             : Launch("Embed", EmbedKernel<Bf16, Bf16>, shape, stream, params);
}

absl::Status CudaDense::EmbedBackward(ConstTensorView ids,
                                      ConstTensorView d_out, TensorView d_table,
                                      Stream& stream) {
  RETURN_IF_ERROR(CheckEmbedBackward(ids, d_out, d_table, kCudaOperands));
  RETURN_IF_ERROR(CheckVocabulary("EmbedBackward", ids, d_table));
  EmbedParams params = ParamsOf(ids, d_table, d_out);
  params.d_table = d_table.data_as<float>();
  params.plan = PlanCudaEmbedBackward(params.vocabulary, params.size);
  const LaunchShape shape = {params.plan.slices * params.plan.column_tiles,
                             kCudaThreads, sizeof(EmbedShared)};
  return d_out.dtype() == DType::kBF16
             ? Launch("EmbedBackward", EmbedBackwardKernel<Bf16>, shape, stream,
                      params)
             : Launch("EmbedBackward", EmbedBackwardKernel<float>, shape,
                      stream, params);
}

}  // namespace longspan::kernels::cuda
