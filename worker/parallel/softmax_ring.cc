#include "worker/parallel/softmax_ring.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace longspan::worker {
namespace {

using kernels::ConstTensorView;
using kernels::TensorView;

absl::Status WaitFor(const std::unique_ptr<Work>& work) {
  return work == nullptr ? absl::OkStatus() : work->Wait();
}

TensorView Flat(TensorView view) {
  return view.Reshape({view.element_count()});
}

TensorView AsRow(TensorView view) {
  return view.Reshape({1, view.element_count()});
}

}  // namespace

SoftmaxRing::SoftmaxRing(const RankContext& context, int layer,
                         const SequenceShard& shard,
                         const SoftmaxAttentionSpec& spec)
    : SoftmaxExchange(context, layer, shard, spec),
      route_(shard.ranges(), spec.window, context.rank()) {}

absl::Status SoftmaxRing::CheckTensors(
    const SoftmaxExchangeTensors& tensors) const {
  if (context_.dtype != context_.accumulator()) {
    return absl::UnimplementedError(absl::StrCat(
        "layer ", layer_, ": softmax_sequence_parallel ring in ",
        kernels::DTypeName(context_.dtype), "; it has f32 and f64"));
  }
  if (tensors.cached_rows > 0 || tensors.rows.size(1) != shard_.tokens()) {
    return absl::UnimplementedError(absl::StrCat(
        "layer ", layer_, ": softmax_sequence_parallel ring with a state, ",
        "whose keys gather brings to every rank; it serves training"));
  }
  return absl::OkStatus();
}

// ---- What queries see ------------------------------------------------------

SoftmaxRing::View SoftmaxRing::ViewOf(int step) const {
  const int shard = route_.ShardAt(step);
  const TokenRange keys = shard_.ranges()[shard];
  const TokenRange own = shard_.range();
  View view;
  if (shard > context_.rank() || !route_.Holds(step)) return view;
  int64_t end = LastQueryEnd(keys, own, spec_.window);
  for (int64_t start : shard_.piece().document_starts) {
    if (start >= keys.end) {
      end = std::min(end, start);
      break;
    }
    if (start >= keys.begin) view.document_starts.push_back(start - keys.begin);
  }
  view.rows = ShardAt(step);
  view.queries = std::max<int64_t>(0, end - own.begin);
  view.query_offset = own.begin - keys.begin;
  return view;
}

kernels::SoftmaxAttentionInputs SoftmaxRing::OperandsOf(const View& view,
                                                        TensorView q) const {
  return Operands(q.Slice(1, 0, view.queries), view.rows, view.query_offset,
                  view.document_starts);
}

// ---- Travel ----------------------------------------------------------------

TensorView SoftmaxRing::Shaped(TensorView buffer, int shard) const {
  const int64_t tokens = shard_.ranges()[shard].size();
  return buffer.Slice(0, 0, shard_.batch() * tokens * width())
      .Reshape({shard_.batch(), tokens, width()});
}

TensorView SoftmaxRing::ShardAt(int step) const {
  if (step == 0) return own_;
  return Shaped(shards_[(step - 1) % 2], route_.ShardAt(step));
}

TensorView SoftmaxRing::SumAt(int step) const {
  if (step == 0 && !route_.Leaves()) return d_own_;
  return Shaped(sums_[step % 2], route_.ShardAt(step));
}

TensorView SoftmaxRing::AllocateShard(const char* name,
                                      kernels::DType dtype) const {
  return context_.arena->Allocate(
      name, dtype, {shard_.batch() * LongestRange(shard_.ranges()) * width()});
}

void SoftmaxRing::BeginTravel(TensorView own) {
  own_ = own;
  for (int i = 0; i < std::min(route_.steps(), 2); ++i) {
    shards_[i] = AllocateShard("shard", context_.dtype);
  }
}

std::unique_ptr<Work> SoftmaxRing::TravelOn(int step, Direction direction) {
  const bool sends = route_.Sends(step);
  const bool receives = route_.Receives(step);
  if (!sends && !receives) return nullptr;
  return context_.group->SendReceive(
      sends ? Flat(ShardAt(step)) : TensorView(), route_.next(),
      receives ? Flat(ShardAt(step + 1)) : TensorView(), route_.previous(),
      {Traffic::kKvExchange, direction, layer_}, context_.stream);
}

std::vector<std::unique_ptr<Work>> SoftmaxRing::SendSums(int step) {
  const TrafficTag tag = {Traffic::kKvExchange, Direction::kBackward, layer_};
  const bool home = route_.TurnsHome(step);
  const TensorView nothing;
  TensorView send, own;
  if (home || route_.Sends(step)) send = Flat(SumAt(step));
  if (route_.ComesHome(step)) own = Flat(d_own_);
  const int to = home ? route_.ShardAt(step) : route_.next();
  std::vector<std::unique_ptr<Work>> works;
  if (route_.Receives(step)) {
    works.push_back(context_.group->SendReceive(send, to, Flat(SumAt(step + 1)),
                                                route_.previous(), tag,
                                                context_.stream));
    send = nothing;
  }
  if (!send.is_null() || !own.is_null()) {
    works.push_back(context_.group->SendReceive(
        send, to, own, route_.LastHolder(), tag, context_.stream));
  }
  return works;
}

// ---- Forward ---------------------------------------------------------------

absl::Status SoftmaxRing::Forward(const SoftmaxExchangeTensors& tensors) {
  RETURN_IF_ERROR(CheckTensors(tensors));
  BeginTravel(tensors.rows);
  if (route_.steps() > 0) {
    part_o_ = context_.arena->Allocate(
        "part_o", context_.dtype,
        {shard_.batch(), shard_.tokens(), spec_.heads, spec_.head_dim});
    part_lse_ = context_.arena->Allocate(
        "part_lse", context_.accumulator(),
        {shard_.batch(), spec_.heads, shard_.tokens()});
  }
  workspace_ = AllocateWorkspace(
      /*backward=*/false, LongestRange(shard_.ranges()), spec_.key_heads);
  for (int step = 0; step <= route_.steps(); ++step) {
    const std::unique_ptr<Work> travel = TravelOn(step, Direction::kForward);
    RETURN_IF_ERROR(AttendToShard(tensors, step));
    RETURN_IF_ERROR(WaitFor(travel));
  }
  return absl::OkStatus();
}

absl::Status SoftmaxRing::AttendToShard(const SoftmaxExchangeTensors& tensors,
                                        int step) {
  const View view = ViewOf(step);
  if (view.queries == 0) return absl::OkStatus();
  kernels::SoftmaxAttention& attention = context_.backend->softmax_attention();
  const bool first = step == 0;
  const TensorView o = (first ? tensors.o : part_o_).Slice(1, 0, view.queries);
  const TensorView lse =
      (first ? tensors.lse : part_lse_).Slice(2, 0, view.queries);
  RETURN_IF_ERROR(attention.Forward(OperandsOf(view, tensors.q), o, lse,
                                    workspace_, *context_.stream));
  if (first) return absl::OkStatus();
  return attention.Merge({o, lse}, tensors.o.Slice(1, 0, view.queries),
                         tensors.lse.Slice(2, 0, view.queries),
                         *context_.stream);
}

// ---- Backward --------------------------------------------------------------

absl::Status SoftmaxRing::Backward(const SoftmaxExchangeTensors& tensors,
                                   ConstTensorView d_o,
                                   const SoftmaxExchangeGradients& gradients) {
  RETURN_IF_ERROR(CheckTensors(tensors));
  BeginTravel(tensors.rows);
  BeginSums(gradients.d_own);
  workspace_ = AllocateWorkspace(
      /*backward=*/true, LongestRange(shard_.ranges()), spec_.key_heads);
  std::vector<std::unique_ptr<Work>> sums;
  for (int step = 0; step <= route_.steps(); ++step) {
    const std::unique_ptr<Work> travel = TravelOn(step, Direction::kBackward);
    const View view = ViewOf(step);
    RETURN_IF_ERROR(ComputeGradients(view, tensors, d_o, gradients.d_q, step));
    for (const auto& work : sums) RETURN_IF_ERROR(work->Wait());
    RETURN_IF_ERROR(AddGradients(view, gradients.d_q, step));
    RETURN_IF_ERROR(WaitFor(travel));
    sums = SendSums(step);
  }
  for (const auto& work : sums) RETURN_IF_ERROR(work->Wait());
  return absl::OkStatus();
}

void SoftmaxRing::BeginSums(TensorView d_own) {
  d_own_ = d_own;
  if (route_.steps() == 0) return;
  for (TensorView& sum : sums_) {
    sum = AllocateShard("d_shard_sum", context_.accumulator());
  }
  d_shard_ = AllocateShard("d_shard", context_.dtype);
  part_d_q_ = context_.arena->Allocate(
      "part_d_q", context_.dtype,
      {shard_.batch(), shard_.tokens(), spec_.heads, spec_.head_dim});
}

absl::Status SoftmaxRing::ComputeGradients(
    const View& view, const SoftmaxExchangeTensors& tensors,
    ConstTensorView d_o, TensorView d_q, int step) {
  if (view.queries == 0) return absl::OkStatus();
  const bool first = step == 0;
  const TensorView d_rows =
      first ? SumAt(0) : Shaped(d_shard_, route_.ShardAt(step));
  return context_.backend->softmax_attention().Backward(
      OperandsOf(view, tensors.q),
      {tensors.o.Slice(1, 0, view.queries),
       tensors.lse.Slice(2, 0, view.queries)},
      d_o.Slice(1, 0, view.queries),
      {(first ? d_q : part_d_q_).Slice(1, 0, view.queries), Keys(d_rows),
       Values(d_rows)},
      workspace_, *context_.stream);
}

absl::Status SoftmaxRing::AddGradients(const View& view, TensorView d_q,
                                       int step) {
  if (step == 0 || view.queries == 0) return absl::OkStatus();
  kernels::Elementwise& elementwise = context_.backend->elementwise();
  const int64_t query_width = spec_.heads * spec_.head_dim;
  for (int64_t b = 0; b < shard_.batch(); ++b) {
    const auto rows = [&](TensorView x) {
      return x.Select(0, b)
          .Slice(0, 0, view.queries)
          .Reshape({view.queries, query_width});
    };
    RETURN_IF_ERROR(elementwise.Add(rows(d_q), rows(part_d_q_), rows(d_q),
                                    *context_.stream));
  }
  const TensorView sum = AsRow(SumAt(step));
  return elementwise.Add(sum, AsRow(Shaped(d_shard_, route_.ShardAt(step))),
                         sum, *context_.stream);
}

}  // namespace longspan::worker
