#include "worker/parallel/softmax_exchange.h"

#include <algorithm>
#include <cmath>

#include "common/base/check.h"
#include "kernels/cost/workspace.h"
#include "worker/parallel/softmax_by_heads.h"
#include "worker/parallel/softmax_gather.h"
#include "worker/parallel/softmax_ring.h"

namespace longspan::worker {

using kernels::AttentionMask;
using kernels::TensorView;

TensorView SliceRows(TensorView rows, const KeySlice& slice, int64_t head_dim) {
  const int64_t width = 2 * slice.heads() * head_dim;
  if (rows.size(2) == width) return rows;
  const int64_t head = rows.size(0) * rows.size(1) * 2 * head_dim;
  return rows.Reshape({rows.element_count()})
      .Slice(0, slice.begin * head, slice.end * head)
      .Reshape({rows.size(0), rows.size(1), width});
}

TensorView SoftmaxExchange::Keys(TensorView rows) const {
  const int64_t half = rows.size(2) / 2;
  return rows.Slice(2, 0, half).SplitLast(half / spec_.head_dim);
}

TensorView SoftmaxExchange::Values(TensorView rows) const {
  const int64_t half = rows.size(2) / 2;
  return rows.Slice(2, half, 2 * half).SplitLast(half / spec_.head_dim);
}

kernels::SoftmaxAttentionInputs SoftmaxExchange::Operands(
    TensorView q, TensorView rows, int64_t query_offset,
    const std::vector<int64_t>& document_starts) const {
  kernels::SoftmaxAttentionInputs operands;
  operands.mask =
      spec_.window == 0 ? AttentionMask::kCausal : AttentionMask::kWindow;
  operands.window = spec_.window;
  operands.query_offset = query_offset;
  operands.scale = 1.0 / std::sqrt(static_cast<double>(spec_.head_dim));
  operands.q = q;
  operands.k = Keys(rows);
  operands.v = Values(rows);
  operands.documents = {document_starts.data(),
                        static_cast<int64_t>(document_starts.size())};
  return operands;
}

TensorView SoftmaxExchange::AllocateWorkspace(bool backward, int64_t key_tokens,
                                              int64_t key_heads) const {
  int64_t bytes = 0;
  for (const ShardPart& part : shard_.parts()) {
    bytes = std::max(bytes, kernels::SoftmaxAttentionWorkspaceBytes(
                                backward,
                                {shard_.batch(), part.range.size(), key_tokens,
                                 key_heads * group(), key_heads, spec_.head_dim,
                                 context_.element_bytes()},
                                context_.backend_kind, context_.threads));
  }
  return context_.arena->AllocateWorkspace("workspace", bytes);
}

std::unique_ptr<SoftmaxExchange> CreateSoftmaxExchange(
    const RankContext& context, int layer, const SequenceShard& shard,
    const SoftmaxAttentionSpec& spec) {
  if (GathersKeys(context.softmax_method, context.ranks())) {
    return std::make_unique<SoftmaxGather>(context, layer, shard, spec);
  }
  if (HeadsTravel(context.softmax_method, context.ranks())) {
    return std::make_unique<SoftmaxByHeads>(context, layer, shard, spec);
  }
  LONGSPAN_CHECK(context.softmax_method == SoftmaxParallel::kRing)
      << "no keys travel with " << SoftmaxParallelName(context.softmax_method);
  return std::make_unique<SoftmaxRing>(context, layer, shard, spec);
}

}  // namespace longspan::worker
