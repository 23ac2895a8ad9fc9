#include "worker/parallel/softmax_gather.h"

#include "common/base/status_macros.h"
#include "worker/parallel/kv_exchange.h"

namespace longspan::worker {
namespace {

using kernels::ConstTensorView;
using kernels::TensorView;

// The queries of a part in lse [B, H, n].
TensorView LseOf(const ShardPart& part, TensorView lse) {
  return lse.Slice(2, part.first_row, part.first_row + part.range.size());
}

}  // namespace

absl::Status SoftmaxGather::Forward(const SoftmaxExchangeTensors& tensors) {
  if (context_.ranks() > 1) RETURN_IF_ERROR(GatherRows(tensors));
  const std::vector<int64_t> starts =
      DocumentStarts(tensors, tensors.rows.size(1));
  const TensorView workspace =
      AllocateWorkspace(/*backward=*/false, tensors.rows.size(1));
  for (const ShardPart& part : shard_.parts()) {
    RETURN_IF_ERROR(context_.backend->softmax_attention().Forward(
        OperandsOf(part, tensors, tensors.rows, starts), part.Of(tensors.o),
        LseOf(part, tensors.lse), workspace, *context_.stream));
  }
  return absl::OkStatus();
}

absl::Status SoftmaxGather::Backward(
    const SoftmaxExchangeTensors& tensors, ConstTensorView d_o,
    const SoftmaxExchangeGradients& gradients) {
  const TensorView workspace =
      AllocateWorkspace(/*backward=*/true, tensors.rows.size(1));
  RETURN_IF_ERROR(PartBackward(shard_.parts().back(), tensors, d_o,
                               gradients.d_q, tensors.rows, gradients.d_rows,
                               workspace));
  if (shard_.part_count() > 1) {
    RETURN_IF_ERROR(AddFirstPart(tensors, d_o, gradients, workspace));
  }
  if (context_.ranks() == 1) return absl::OkStatus();
  KvExchange exchange(context_, layer_, shard_, width());
  return exchange.ScatterGradients(gradients.d_rows, gradients.d_own);
}

absl::Status SoftmaxGather::PartBackward(const ShardPart& part,
                                         const SoftmaxExchangeTensors& tensors,
                                         ConstTensorView d_o, TensorView d_q,
                                         TensorView rows, TensorView d_rows,
                                         TensorView workspace) {
  const std::vector<int64_t> starts = DocumentStarts(tensors, rows.size(1));
  return context_.backend->softmax_attention().Backward(
      OperandsOf(part, tensors, rows, starts),
      {part.Of(tensors.o), LseOf(part, tensors.lse)}, part.Of(d_o),
      {part.Of(d_q), Keys(d_rows), Values(d_rows)}, workspace,
      *context_.stream);
}

absl::Status SoftmaxGather::AddFirstPart(
    const SoftmaxExchangeTensors& tensors, ConstTensorView d_o,
    const SoftmaxExchangeGradients& gradients, TensorView workspace) {
  const ShardPart& part = shard_.parts().front();
  const int64_t end = part.range.end;
  const TensorView d_first = context_.arena->Allocate(
      "d_first_rows", context_.dtype, {shard_.batch(), end, width()});
  RETURN_IF_ERROR(PartBackward(part, tensors, d_o, gradients.d_q,
                               tensors.rows.Slice(1, 0, end), d_first,
                               workspace));
  for (int64_t b = 0; b < shard_.batch(); ++b) {
    const TensorView sum = gradients.d_rows.Select(0, b).Slice(0, 0, end);
    RETURN_IF_ERROR(context_.backend->elementwise().Add(
        sum, d_first.Select(0, b), sum, *context_.stream));
  }
  return absl::OkStatus();
}

absl::Status SoftmaxGather::GatherRows(const SoftmaxExchangeTensors& tensors) {
  const int64_t count = KvExchange::StagingCount(shard_, width());
  TensorView staging;
  if (count > 0) {
    staging = context_.arena->Allocate("kv_staging", context_.dtype, {count});
  }
  KvExchange exchange(context_, layer_, shard_, width());
  return exchange.Gather(
      tensors.rows.Slice(1, tensors.cached_rows, tensors.rows.size(1)),
      staging);
}

std::vector<int64_t> SoftmaxGather::DocumentStarts(
    const SoftmaxExchangeTensors& tensors, int64_t end) const {
  std::vector<int64_t> starts;
  if (tensors.document_row > 0) starts.push_back(tensors.document_row);
  for (int64_t start : shard_.piece().document_starts) {
    const int64_t row = tensors.cached_rows + start;
    if (row < end) starts.push_back(row);
  }
  return starts;
}

kernels::SoftmaxAttentionInputs SoftmaxGather::OperandsOf(
    const ShardPart& part, const SoftmaxExchangeTensors& tensors,
    TensorView rows, const std::vector<int64_t>& document_starts) const {
  return Operands(part.Of(tensors.q), rows,
                  tensors.cached_rows + part.range.begin, document_starts);
}

}  // namespace longspan::worker
