#include "worker/parallel/state_chain.h"

#include "common/base/status_macros.h"

namespace longspan::worker {

using kernels::ConstTensorView;
using kernels::TensorView;

StateChain::StateChain(const RankContext& context, int layer,
                       Direction direction, const MemoryShape& shape,
                       const StateExchangeOperands& operands)
    : StateExchange(context, layer, direction, shape, operands),
      blocks_(StateBlocks(context.method, shape.batch * shape.heads)) {}

TensorView StateChain::own_state(int) const {
  return operands_.scratch.Slice(0, 0, shape_.state_count())
      .Reshape({shape_.batch, shape_.heads, shape_.key_dim, shape_.value_dim});
}

TensorView StateChain::own_decay(int) const {
  return operands_.decays.Select(0, 0);
}

TensorView StateChain::outgoing() const {
  return operands_.scratch
      .Slice(0, shape_.state_count(), 2 * shape_.state_count())
      .Reshape({shape_.batch, shape_.heads, shape_.key_dim, shape_.value_dim});
}

TensorView StateChain::Heads(TensorView state, int64_t block) const {
  const int64_t heads = shape_.batch * shape_.heads;
  return state.Reshape({1, heads, shape_.key_dim, shape_.value_dim})
      .Slice(1, block * heads / blocks_, (block + 1) * heads / blocks_);
}

TensorView StateChain::HeadDecays(int64_t block) const {
  const int64_t heads = shape_.batch * shape_.heads;
  const int64_t k = shape_.key_dim;
  TensorView decays = operands_.decays;
  switch (shape_.decay) {
    case kernels::LinearAttentionDecay::kHead:
      decays = decays.Reshape({1, 1, heads});
      break;
    case kernels::LinearAttentionDecay::kChannel:
      decays = decays.Reshape({1, 1, heads, k});
      break;
    case kernels::LinearAttentionDecay::kMatrix:
      decays = decays.Reshape({1, 1, heads, k, k});
      break;
  }
  return decays.Slice(2, block * heads / blocks_,
                      (block + 1) * heads / blocks_);
}

// ---- The order of things ---------------------------------------------------

absl::Status StateChain::ReceiveFirst() {
  if (!waits_first()) return absl::OkStatus();
  Begin();
  return works_.empty() ? absl::OkStatus() : works_[0]->Wait();
}

absl::Status StateChain::Start() {
  if (!waits_first()) Begin();
  return arrives_early() ? PassBlocks() : absl::OkStatus();
}

absl::Status StateChain::Finish() {
  if (!arrives_early()) RETURN_IF_ERROR(PassBlocks());
  for (const auto& work : works_) RETURN_IF_ERROR(work->Wait());
  return operands_.leaving.is_null() ? absl::OkStatus()
                                     : ShareLeaving(outgoing());
}

// ---- The steps -------------------------------------------------------------

void StateChain::Begin() {
  if (has_previous()) Call(TensorView(), Heads(state(), 0));
}

absl::Status StateChain::PassBlocks() {
  if (!has_previous()) RETURN_IF_ERROR(TakeInitial());
  for (int64_t block = 0; block < blocks_; ++block) {
    if (has_previous()) RETURN_IF_ERROR(works_[block]->Wait());
    if (has_next() || !operands_.leaving.is_null()) {
      RETURN_IF_ERROR(Advance(block));
    }
    const bool more = has_previous() && block + 1 < blocks_;
    if (!has_next() && !more) continue;
    Call(has_next() ? Heads(outgoing(), block) : TensorView(),
         more ? Heads(state(), block + 1) : TensorView());
  }
  return absl::OkStatus();
}

absl::Status StateChain::Advance(int64_t block) {
  const TensorView own = Heads(own_state(0), block);
  return context_.backend->linear_attention().FoldSummaries(
      own.Reshape({1, 1, own.size(1), own.size(2), own.size(3)}),
      HeadDecays(block), Heads(state(), block), !forward(),
      Heads(outgoing(), block), *context_.stream);
}

void StateChain::Call(ConstTensorView send, TensorView receive) {
  works_.push_back(context_.group->SendReceive(
      send, RankAfter(1), receive, RankAfter(-1), tag_, context_.stream));
}

}  // namespace longspan::worker
