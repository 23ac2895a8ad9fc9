#include "worker/parallel/softmax_by_heads.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace longspan::worker {

using kernels::ConstTensorView;
using kernels::TensorView;

SoftmaxByHeads::SoftmaxByHeads(const RankContext& context, int layer,
                               const SequenceShard& shard,
                               const SoftmaxAttentionSpec& spec)
    : SoftmaxExchange(context, layer, shard, spec),
      alone_(context.Alone()),
      whole_(shard.Whole()),
      own_(OwnHeadsOf(spec, context.rank(), context.ranks())),
      attention_(alone_, layer, whole_, own_) {}

SoftmaxHeads SoftmaxByHeads::AllocateTape(const RankContext& context,
                                          const SequenceShard& shard,
                                          const SoftmaxAttentionSpec& spec) {
  const SoftmaxAttentionSpec own =
      OwnHeadsOf(spec, context.rank(), context.ranks());
  const SequencePiece& piece = shard.piece();
  Arena& arena = *context.arena;
  SoftmaxHeads heads;
  heads.q =
      arena.Allocate("head_q", context.dtype,
                     {piece.batch, piece.tokens, own.heads, own.head_dim});
  heads.rows = arena.Allocate(
      "head_key_value", context.dtype,
      {piece.batch, piece.tokens, 2 * own.key_heads * own.head_dim});
  heads.o =
      arena.Allocate("head_o", context.dtype,
                     {piece.batch, piece.tokens, own.heads, own.head_dim});
  heads.lse = arena.Allocate("head_lse", context.accumulator(),
                             {piece.batch, own.heads, piece.tokens});
  return heads;
}

absl::Status SoftmaxByHeads::CheckTensors(
    const SoftmaxExchangeTensors& tensors) const {
  if (!tensors.heads.q.is_null()) return absl::OkStatus();
  return absl::UnimplementedError(absl::StrCat(
      "layer ", layer_, ": softmax_sequence_parallel ulysses with a state, ",
      tensors.rows.size(1), " rows of keys for ", shard_.tokens(),
      " tokens: such passes gather"));
}

HeadExchange SoftmaxByHeads::Exchange(Direction direction) const {
  return HeadExchange(context_, layer_, direction, shard_, spec_.heads,
                      spec_.key_heads);
}

SoftmaxExchangeTensors SoftmaxByHeads::HeadTensors(
    const SoftmaxExchangeTensors& tensors) {
  SoftmaxExchangeTensors heads;
  heads.q = tensors.heads.q;
  heads.rows = tensors.heads.rows;
  heads.o = tensors.heads.o;
  heads.lse = tensors.heads.lse;
  return heads;
}

TensorView SoftmaxByHeads::AllocateParcels() const {
  const HeadExchangeShape shape = {shard_.batch(), shard_.ranges(), spec_.heads,
                                   spec_.key_heads, context_.element_bytes()};
  return context_.arena->AllocateWorkspace(
      "parcels",
      HeadScratchBytes(shape, HeadTrafficOf(spec_), context_.rank()));
}

TensorView SoftmaxByHeads::AllocateLike(const char* name,
                                        ConstTensorView x) const {
  if (x.rank() == 3) {
    return context_.arena->Allocate(name, context_.dtype,
                                    {x.size(0), x.size(1), x.size(2)});
  }
  return context_.arena->Allocate(name, context_.dtype,
                                  {x.size(0), x.size(1), x.size(2), x.size(3)});
}

absl::Status SoftmaxByHeads::Forward(const SoftmaxExchangeTensors& tensors) {
  RETURN_IF_ERROR(CheckTensors(tensors));
  const SoftmaxHeads& heads = tensors.heads;
  const TensorView parcels = AllocateParcels();
  const HeadExchange exchange = Exchange(Direction::kForward);
  RETURN_IF_ERROR(exchange.ToHeads(
      {{tensors.q, heads.q},
       {Keys(tensors.rows), Keys(heads.rows), /*of_key_heads=*/true},
       {Values(tensors.rows), Values(heads.rows), /*of_key_heads=*/true}},
      parcels));
  RETURN_IF_ERROR(attention_.Forward(HeadTensors(tensors)));
  return exchange.ToTokens({{heads.o, tensors.o}}, parcels);
}

absl::Status SoftmaxByHeads::Backward(
    const SoftmaxExchangeTensors& tensors, ConstTensorView d_o,
    const SoftmaxExchangeGradients& gradients) {
  RETURN_IF_ERROR(CheckTensors(tensors));
  const SoftmaxHeads& heads = tensors.heads;
  const TensorView parcels = AllocateParcels();
  const TensorView head_d_o = AllocateLike("head_d_o", heads.o);
  const TensorView d_q = AllocateLike("head_d_q", heads.q);
  const TensorView d_rows = AllocateLike("head_d_key_value", heads.rows);
  const HeadExchange exchange = Exchange(Direction::kBackward);
  RETURN_IF_ERROR(exchange.ToHeads({{d_o, head_d_o}}, parcels));
  RETURN_IF_ERROR(
      attention_.Backward(HeadTensors(tensors), head_d_o, {d_q, d_rows}));
  return exchange.ToTokens(
      {{d_q, gradients.d_q},
       {Keys(d_rows), Keys(gradients.d_own), /*of_key_heads=*/true},
       {Values(d_rows), Values(gradients.d_own), /*of_key_heads=*/true}},
      parcels);
}

}  // namespace longspan::worker
