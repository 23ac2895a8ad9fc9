#include "worker/parallel/softmax_gather.h"

#include <utility>

#include "common/base/status_macros.h"

namespace longspan::worker {
namespace {

using kernels::ConstTensorView;
using kernels::TensorView;

// The queries of a part in lse [B, H, n].
TensorView LseOf(const ShardPart& part, TensorView lse) {
  return lse.Slice(2, part.first_row, part.first_row + part.range.size());
}

// The first rows of `buffer`, as [B, tokens, width].
TensorView RowsIn(TensorView buffer, int64_t batch, int64_t tokens,
                  int64_t width) {
  return buffer.Slice(0, 0, batch * tokens * width)
      .Reshape({batch, tokens, width});
}

}  // namespace

// ---- Slices ----------------------------------------------------------------

TensorView SoftmaxGather::QueriesOf(const KeySlice& slice, TensorView x) const {
  return x.Slice(2, slice.begin * group(), slice.end * group());
}

ConstTensorView SoftmaxGather::QueriesOf(const KeySlice& slice,
                                         ConstTensorView x) const {
  return x.Slice(2, slice.begin * group(), slice.end * group());
}

SoftmaxExchangeTensors SoftmaxGather::Of(
    const KeySlice& slice, const SoftmaxExchangeTensors& tensors) const {
  SoftmaxExchangeTensors of = tensors;
  of.q = QueriesOf(slice, tensors.q);
  of.rows = SliceRows(tensors.rows, slice, spec_.head_dim);
  of.o = QueriesOf(slice, tensors.o);
  of.lse = tensors.lse.Slice(1, slice.begin * group(), slice.end * group());
  of.slices = 1;
  return of;
}

// ---- Forward ---------------------------------------------------------------

absl::Status SoftmaxGather::Forward(const SoftmaxExchangeTensors& tensors) {
  const std::vector<KeySlice> slices =
      CutKeyHeads(spec_.key_heads, tensors.slices);
  const int64_t staged =
      KvExchange::StagingCount(shard_, 2 * slices[0].heads() * spec_.head_dim);
  TensorView stagings[2];  // of the slice at hand and the one that comes
  for (size_t i = 0; staged > 0 && i < 2 && i < slices.size(); ++i) {
    stagings[i] =
        context_.arena->Allocate("kv_staging", context_.dtype, {staged});
  }
  const TensorView workspace = AllocateWorkspace(
      /*backward=*/false, tensors.rows.size(1), slices[0].heads());

  SoftmaxExchangeTensors coming = Of(slices[0], tensors);
  ASSIGN_OR_RETURN(std::unique_ptr<KvExchange> gather,
                   BeginGather(coming, stagings[0]));
  for (size_t i = 0; i < slices.size(); ++i) {
    const SoftmaxExchangeTensors at_hand = coming;
    const std::unique_ptr<KvExchange> arriving = std::move(gather);
    if (i + 1 < slices.size()) {
      coming = Of(slices[i + 1], tensors);
      ASSIGN_OR_RETURN(gather, BeginGather(coming, stagings[(i + 1) % 2]));
    }
    if (arriving != nullptr) RETURN_IF_ERROR(arriving->FinishGather());
    RETURN_IF_ERROR(Attend(at_hand, workspace));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<KvExchange>> SoftmaxGather::BeginGather(
    const SoftmaxExchangeTensors& tensors, TensorView staging) {
  if (context_.ranks() == 1) return nullptr;
  auto exchange = std::make_unique<KvExchange>(context_, layer_, shard_,
                                               tensors.rows.size(2));
  RETURN_IF_ERROR(exchange->BeginGather(
      tensors.rows.Slice(1, tensors.cached_rows, tensors.rows.size(1)),
      staging));
  return exchange;
}

absl::Status SoftmaxGather::Attend(const SoftmaxExchangeTensors& tensors,
                                   TensorView workspace) {
  const std::vector<int64_t> starts =
      DocumentStarts(tensors, tensors.rows.size(1));
  for (const ShardPart& part : shard_.parts()) {
    RETURN_IF_ERROR(context_.backend->softmax_attention().Forward(
        OperandsOf(part, tensors, tensors.rows, starts), part.Of(tensors.o),
        LseOf(part, tensors.lse), workspace, *context_.stream));
  }
  return absl::OkStatus();
}

// ---- Backward --------------------------------------------------------------

absl::Status SoftmaxGather::Backward(
    const SoftmaxExchangeTensors& tensors, ConstTensorView d_o,
    const SoftmaxExchangeGradients& gradients) {
  if (context_.ranks() == 1) return BackwardAlone(tensors, d_o, gradients);
  const std::vector<KeySlice> slices =
      CutKeyHeads(spec_.key_heads, tensors.slices);
  const Scratch scratch = AllocateScratch(slices[0], slices.size() > 1);
  const int64_t dim = spec_.head_dim;
  const TensorView d_own = gradients.d_own.SplitLast(2);
  const auto own_of = [&](const KeySlice& slice) {
    return d_own.Slice(3, slice.begin * dim, slice.end * dim);
  };

  std::unique_ptr<KvExchange> leaving;
  for (size_t i = 0; i < slices.size(); ++i) {
    const SoftmaxExchangeTensors of = Of(slices[i], tensors);
    const int64_t width = of.rows.size(2);
    const bool other = i % 2 == 1 && !scratch.d_slices[1].is_null();
    const TensorView d_rows = RowsIn(scratch.d_slices[other ? 1 : 0],
                                     shard_.batch(), of.rows.size(1), width);
    RETURN_IF_ERROR(SliceBackward(of, QueriesOf(slices[i], d_o),
                                  QueriesOf(slices[i], gradients.d_q), d_rows,
                                  scratch));
    if (leaving != nullptr) {
      RETURN_IF_ERROR(leaving->FinishScatter(own_of(slices[i - 1])));
    }
    leaving = std::make_unique<KvExchange>(context_, layer_, shard_, width);
    const TensorView sum =
        scratch.sum.is_null()
            ? gradients.d_own
            : RowsIn(scratch.sum, shard_.batch(), shard_.tokens(), width);
    RETURN_IF_ERROR(leaving->BeginScatter(d_rows, scratch.staging, sum));
  }
  return leaving->FinishScatter(own_of(slices.back()));
}

SoftmaxGather::Scratch SoftmaxGather::AllocateScratch(const KeySlice& widest,
                                                      bool sliced) const {
  const int64_t width = 2 * widest.heads() * spec_.head_dim;
  const int64_t count = shard_.batch() * shard_.piece().tokens * width;
  const kernels::DType sums = context_.accumulator();
  Arena& arena = *context_.arena;
  Scratch scratch;
  scratch.workspace = AllocateWorkspace(
      /*backward=*/true, shard_.piece().tokens, widest.heads());
  scratch.d_slices[0] = arena.Allocate("d_slice", context_.dtype, {count});
  if (shard_.part_count() > 1) {
    const int64_t first = shard_.parts().front().range.end;
    scratch.d_first = arena.Allocate("d_first_rows", context_.dtype,
                                     {shard_.batch() * first * width});
  }
  if (KvExchange::StagesGradients(context_, shard_)) {
    scratch.staging = arena.Allocate("kv_staging", sums, {count});
  } else if (sliced) {
    scratch.d_slices[1] = arena.Allocate("d_slice", context_.dtype, {count});
  }
  if (KvExchange::SumsApart(context_, shard_, sliced)) {
    scratch.sum = arena.Allocate("d_own_sum", sums, {shard_.rows() * width});
  }
  return scratch;
}

absl::Status SoftmaxGather::BackwardAlone(
    const SoftmaxExchangeTensors& tensors, ConstTensorView d_o,
    const SoftmaxExchangeGradients& gradients) {
  const TensorView workspace = AllocateWorkspace(
      /*backward=*/true, tensors.rows.size(1), spec_.key_heads);
  return PartBackward(shard_.parts().front(), tensors, d_o, gradients.d_q,
                      tensors.rows, gradients.d_own, workspace);
}

absl::Status SoftmaxGather::SliceBackward(const SoftmaxExchangeTensors& tensors,
                                          ConstTensorView d_o, TensorView d_q,
                                          TensorView d_rows,
                                          const Scratch& scratch) {
  RETURN_IF_ERROR(PartBackward(shard_.parts().back(), tensors, d_o, d_q,
                               tensors.rows, d_rows, scratch.workspace));
  if (shard_.part_count() == 1) return absl::OkStatus();
  return AddFirstPart(tensors, d_o, d_q, d_rows, scratch);
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

absl::Status SoftmaxGather::AddFirstPart(const SoftmaxExchangeTensors& tensors,
                                         ConstTensorView d_o, TensorView d_q,
                                         TensorView d_rows,
                                         const Scratch& scratch) {
  const ShardPart& part = shard_.parts().front();
  const int64_t end = part.range.end;
  const TensorView d_first =
      RowsIn(scratch.d_first, shard_.batch(), end, d_rows.size(2));
  RETURN_IF_ERROR(PartBackward(part, tensors, d_o, d_q,
                               tensors.rows.Slice(1, 0, end), d_first,
                               scratch.workspace));
  for (int64_t b = 0; b < shard_.batch(); ++b) {
    const TensorView sum = d_rows.Select(0, b).Slice(0, 0, end);
    RETURN_IF_ERROR(context_.backend->elementwise().Add(
        sum, d_first.Select(0, b), sum, *context_.stream));
  }
  return absl::OkStatus();
}

// ---- What queries see ------------------------------------------------------

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
