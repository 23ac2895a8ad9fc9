#include "worker/parallel/state_ring.h"

#include "common/base/status_macros.h"

namespace longspan::worker {
namespace {

using kernels::ConstTensorView;
using kernels::LinearAttentionInputs;
using kernels::LinearAttentionSummary;
using kernels::TensorView;
using kernels::Transition;

// Whether ranks cannot know the decay of another's range.
bool DecaysDependOnTokens(Transition transition) {
  return HasGates(transition) || transition == Transition::kDense;
}

// What of a range makes its summaries, in the order in which it travels
// (row_exchange_plan.h).
std::vector<ConstTensorView> RowsOf(const RangeRows& range, bool forward) {
  const LinearAttentionInputs& inputs = range.inputs;
  std::vector<ConstTensorView> rows;
  if (!inputs.log_gate.is_null()) rows.push_back(inputs.log_gate);
  if (!inputs.beta.is_null()) rows.push_back(inputs.beta);
  rows.push_back(forward ? inputs.k : inputs.q);
  if (!forward && inputs.transition == Transition::kDense) {
    rows.push_back(inputs.k);
  }
  rows.push_back(forward ? inputs.v : range.d_o);
  return rows;
}

}  // namespace

StateRing::StateRing(const RankContext& context, int layer, Direction direction,
                     const MemoryShape& shape,
                     const StateExchangeOperands& operands)
    : StateExchange(context, layer, direction, shape, operands),
      ring_(context, layer, direction, direction, *operands.rows.shard,
            RowsOf(operands.rows, direction == Direction::kForward),
            operands.rows.parcels) {}

TensorView StateRing::States() const {
  return operands_.scratch.Reshape({context_.ranks(), shape_.batch,
                                    shape_.heads, shape_.key_dim,
                                    shape_.value_dim});
}

// ---- The order of things ---------------------------------------------------

absl::Status StateRing::Finish() {
  const int own = context_.rank();
  int furthest = own;  // whose range this rank's tokens look back to
  bool hidden = false;
  std::vector<TensorView> rows;
  for (int step = 1; step <= ring_.steps(); ++step) {
    const int rank = ring_.RankAt(step);
    RETURN_IF_ERROR(ring_.Take(step, rows));
    if (hidden) continue;
    RETURN_IF_ERROR(Summarise(rank, rows));
    furthest = rank;
    hidden = operands_.rows.shard->document_starts_in(rank);
  }
  RETURN_IF_ERROR(ring_.Finish());
  if (!forward()) return Fold(own + 1, furthest + 1, state());
  RETURN_IF_ERROR(Fold(furthest, own, state()));
  return operands_.leaving.is_null() ? absl::OkStatus() : Leave(furthest);
}

absl::Status StateRing::Leave(int first) {
  const int own = context_.rank();
  if (own + 1 == context_.ranks()) {
    LinearAttentionInputs inputs = operands_.rows.inputs;
    inputs.documents = operands_.rows.shard->documents();
    RETURN_IF_ERROR(SummariseForward(own, inputs));
    RETURN_IF_ERROR(Fold(first, own + 1, operands_.leaving));
  }
  return ShareLeaving(operands_.leaving);
}

// Ranges before `begin` are hidden by a document that begins in it, whose
// decay is 0, and so is the initial state.
absl::Status StateRing::Fold(int begin, int end, TensorView state) {
  return context_.backend->linear_attention().FoldSummaries(
      States().Slice(0, begin, end), operands_.decays.Slice(0, begin, end),
      operands_.initial, !forward(), state, *context_.stream);
}

// ---- Summaries -------------------------------------------------------------

absl::Status StateRing::Summarise(int rank,
                                  const std::vector<TensorView>& rows) {
  LinearAttentionInputs inputs = operands_.rows.inputs;
  inputs.documents = operands_.rows.shard->documents_in(rank);
  auto next = rows.begin();
  if (!inputs.log_gate.is_null()) inputs.log_gate = *next++;
  if (!inputs.beta.is_null()) inputs.beta = *next++;
  (forward() ? inputs.k : inputs.q) = *next++;
  if (forward()) {
    inputs.v = *next;
    return SummariseForward(rank, inputs);
  }
  // Decays do not depend on the keys but with the delta rule.
  const bool dense = inputs.transition == Transition::kDense;
  inputs.k = dense ? ConstTensorView(*next++) : inputs.q;
  return SummariseBackward(rank, inputs, *next);
}

absl::Status StateRing::SummariseForward(int rank,
                                         const LinearAttentionInputs& inputs) {
  return SummariseTo(inputs, States().Select(0, rank), rank);
}

absl::Status StateRing::SummariseTo(const LinearAttentionInputs& inputs,
                                    TensorView state, int rank) {
  LinearAttentionSummary summary = {.state = state};
  const bool dense = inputs.transition == Transition::kDense;
  (dense ? summary.transition : summary.log_decay) =
      operands_.decays.Select(0, rank);
  return context_.backend->linear_attention().Summarise(
      inputs, summary, operands_.rows.workspace, *context_.stream);
}

absl::Status StateRing::SummariseBackward(int rank,
                                          const LinearAttentionInputs& inputs,
                                          ConstTensorView d_o) {
  const TensorView d_state = States().Select(0, rank);
  if (DecaysDependOnTokens(inputs.transition)) {
    // What one column of any values adds to the state is overwritten.
    const int64_t b = shape_.batch, h = shape_.heads, k = shape_.key_dim;
    LinearAttentionInputs column = inputs;
    column.v = d_o.Slice(3, 0, 1);
    RETURN_IF_ERROR(SummariseTo(column,
                                d_state.Reshape({d_state.element_count()})
                                    .Slice(0, 0, b * h * k)
                                    .Reshape({b, h, k, 1}),
                                rank));
  }
  return context_.backend->linear_attention().SummariseBackward(
      inputs, d_o, d_state, operands_.rows.workspace, *context_.stream);
}

}  // namespace longspan::worker
