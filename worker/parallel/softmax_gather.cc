#include "worker/parallel/softmax_gather.h"

#include "common/base/status_macros.h"
#include "worker/parallel/kv_exchange.h"

namespace longspan::worker {

using kernels::ConstTensorView;
using kernels::TensorView;

absl::Status SoftmaxGather::Forward(const SoftmaxExchangeTensors& tensors) {
  if (context_.ranks() > 1) RETURN_IF_ERROR(GatherRows(tensors));
  const std::vector<int64_t> starts = DocumentStarts(tensors);
  return context_.backend->softmax_attention().Forward(
      AllOperands(tensors, starts), tensors.o, tensors.lse,
      AllocateWorkspace(/*backward=*/false, tensors.rows.size(1)),
      *context_.stream);
}

absl::Status SoftmaxGather::Backward(
    const SoftmaxExchangeTensors& tensors, ConstTensorView d_o,
    const SoftmaxExchangeGradients& gradients) {
  const std::vector<int64_t> starts = DocumentStarts(tensors);
  RETURN_IF_ERROR(context_.backend->softmax_attention().Backward(
      AllOperands(tensors, starts), {tensors.o, tensors.lse}, d_o,
      {gradients.d_q, Keys(gradients.d_rows), Values(gradients.d_rows)},
      AllocateWorkspace(/*backward=*/true, tensors.rows.size(1)),
      *context_.stream));
  if (context_.ranks() == 1) return absl::OkStatus();
  KvExchange exchange(context_, layer_, shard_, width());
  return exchange.ScatterGradients(gradients.d_rows, gradients.d_own);
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
    const SoftmaxExchangeTensors& tensors) const {
  std::vector<int64_t> starts;
  if (tensors.document_row > 0) starts.push_back(tensors.document_row);
  for (int64_t start : shard_.piece().document_starts) {
    starts.push_back(tensors.cached_rows + start);
  }
  return starts;
}

kernels::SoftmaxAttentionInputs SoftmaxGather::AllOperands(
    const SoftmaxExchangeTensors& tensors,
    const std::vector<int64_t>& document_starts) const {
  return Operands(tensors.q, tensors.rows,
                  tensors.cached_rows + shard_.range().begin, document_starts);
}

}  // namespace longspan::worker
