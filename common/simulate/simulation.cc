#include "common/simulate/simulation.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/model_spec/communication_plan.h"
#include "common/model_spec/head_exchange_plan.h"
#include "common/model_spec/head_slices.h"
#include "common/model_spec/layout_choice.h"
#include "common/model_spec/linear_layer_form.h"
#include "common/model_spec/memory_plan.h"
#include "common/model_spec/parameter_layout.h"
#include "common/model_spec/precision.h"
#include "common/model_spec/row_exchange_plan.h"
#include "common/model_spec/token_layout.h"
#include "common/model_spec/token_range.h"
#include "common/simulate/layer_traffic.h"
#include "common/simulate/step_time.h"

namespace longspan {
namespace {

// Whose planner stands in for what a method without one has besides its
// exchange: halos, gradients, activations.
constexpr SequenceParallel kBaseline = SequenceParallel::kLasp1;

absl::Status CheckNumbers(const SimulationShape& shape,
                          const ComputeModel& compute) {
  if (compute.flops_per_s > 0 && compute.fixed_s >= 0 && shape.batch >= 1) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "compute of ", compute.flops_per_s, " operations and ", compute.fixed_s,
      " fixed seconds, batch ", shape.batch,
      ": needs a positive rate, fixed seconds of at least 0 and a batch of at "
      "least 1"));
}

// What a zigzag job may be; any backend, as nothing runs here.
absl::Status CheckZigzagStep(const SimulationShape& shape,
                             ExchangeMethod method) {
  if (!shape.train) {
    return absl::UnimplementedError(
        "zigzag is a layout of training steps: use contiguous for a forward "
        "pass alone");
  }
  // ring_left is a ring.
  return CheckZigzag(PlannedMethod(method).value_or(SequenceParallel::kRing),
                     SoftmaxOf(method, shape.softmax), /*cuda=*/false);
}

absl::StatusOr<TokenLayout> LayoutFor(const ModelSpec& model,
                                      const SimulationShape& shape,
                                      ExchangeMethod method) {
  if (shape.ranks == 1) return TokenLayout::kContiguous;
  if (shape.layout) {
    if (*shape.layout == TokenLayout::kZigzag) {
      RETURN_IF_ERROR(CheckZigzagStep(shape, method));
    }
    return *shape.layout;
  }
  const std::optional<SequenceParallel> planned = PlannedMethod(method);
  if (!planned || !shape.train) return TokenLayout::kContiguous;
  return ChooseLayout(model,
                      {.tokens = shape.tokens,
                       .batch = shape.batch,
                       .ranks = shape.ranks,
                       .element_bytes = shape.element_bytes,
                       .method = *planned,
                       .softmax_method = SoftmaxOf(method, shape.softmax),
                       .state_gather = shape.state_gather,
                       .cuda = shape.backend == kernels::BackendKind::kCuda})
      .layout;
}

// `shape.layout` is known.
class Coster {
 public:
  Coster(const ModelSpec& model, const SimulationShape& shape,
         std::vector<TokenRange> ranges, ExchangeMethod method)
      : model_(model),
        shape_(shape),
        ranges_(std::move(ranges)),
        method_(method),
        planned_(PlannedMethod(method)) {
    cost_.layout = *shape.layout;
  }

  MethodCost Cost() {
    if (shape_.ranks > 1) {
      AddPlanned();
      if (!planned_) AddTokens();
    }
    AddMemory();
    return cost_;
  }

 private:
  void AddPlanned() {
    for (int rank : Ranks()) AddRank(rank);
  }

  // One of them is the busiest: those at and beside both ends and in the
  // middle, or, as their shares of the heads differ, all.
  std::vector<int> Ranks() const {
    const int ranks = shape_.ranks;
    if (!TravelsByHeads()) return {0, 1, ranks / 2, ranks - 2, ranks - 1};
    std::vector<int> all(ranks);
    std::iota(all.begin(), all.end(), 0);
    return all;
  }
  bool HasLinear() const { return HasLayer(model_, LayerKind::kLinear); }
  bool TravelsByHeads() const {
    return LinearByHeads() || SoftmaxByHeads() || HasCutLayers();
  }
  // Layers whose heads are cut (head_slices.h).
  bool HasCutLayers() const {
    return planned_ &&
           (IsCut(LayerKind::kLinear) || IsCut(LayerKind::kSoftmax));
  }
  bool IsCut(LayerKind kind) const {
    return HasLayer(model_, kind) &&
           HeadsAreCut(*planned_, softmax(), kind, shape_.ranks);
  }
  bool LinearByHeads() const {
    return planned_ && HeadsTravel(*planned_) && HasLinear() &&
           shape_.ranks > 1;
  }
  bool SoftmaxByHeads() const {
    return planned_ && HeadsTravel(softmax(), shape_.ranks) &&
           HasLayer(model_, LayerKind::kSoftmax);
  }

  void AddRank(int rank) {
    CommunicationShape shape;
    shape.batch = shape_.batch;
    shape.ranges = ranges_;
    shape.element_bytes = shape_.element_bytes;
    shape.backward = shape_.train;
    shape.method = planned_.value_or(kBaseline);
    shape.softmax_method = softmax();
    shape.layout = cost_.layout;
    shape.state_gather = shape_.state_gather;
    MethodCost sent;
    for (const PlannedTransfer& transfer :
         PlanCommunication(model_, shape, rank)) {
      AddTransfer(transfer, sent);
    }
    cost_.forward_bytes = std::max(cost_.forward_bytes, sent.forward_bytes);
    cost_.backward_bytes = std::max(cost_.backward_bytes, sent.backward_bytes);
    cost_.gradient_bytes = std::max(cost_.gradient_bytes, sent.gradient_bytes);
    cost_.forward_calls = std::max(cost_.forward_calls, sent.forward_calls);
    cost_.backward_calls = std::max(cost_.backward_calls, sent.backward_calls);
  }

  SoftmaxParallel softmax() const { return SoftmaxOf(method_, shape_.softmax); }
  // Whether the planner knows what the method sends for it.
  bool IsPlanned(TransferKind kind) const {
    return planned_ || kind == TransferKind::kConvolutionHalo ||
           (kind == TransferKind::kKeyValueExchange && IsRing(method_));
  }

  void AddTransfer(const PlannedTransfer& transfer, MethodCost& sent) const {
    if (transfer.kind == TransferKind::kGradientSync) {
      sent.gradient_bytes += transfer.bytes_sent;
    } else if (!IsPlanned(transfer.kind)) {
      return;
    } else if (transfer.direction == TransferDirection::kForward) {
      sent.forward_bytes += transfer.bytes_sent;
      sent.forward_calls += transfer.launches;
    } else {
      sent.backward_bytes += transfer.bytes_sent;
      sent.backward_calls += transfer.launches;
    }
  }

  void AddTokens() {
    const TokenShape tokens = {shape_.batch, shape_.tokens, ranges_[0].size(),
                               shape_.ranks, shape_.element_bytes};
    for (int64_t layer = 0; layer < model_.layer_count; ++layer) {
      const LayerKind kind = LayerKindAt(model_, layer);
      if (kind == LayerKind::kSoftmax && IsRing(method_)) continue;
      const LayerTraffic traffic = TokenTraffic(method_, kind, model_, tokens);
      cost_.forward_bytes += traffic.forward.bytes;
      cost_.forward_calls += traffic.forward.calls;
      cost_.buffer_bytes = std::max(cost_.buffer_bytes, traffic.buffer_bytes);
      if (!shape_.train) continue;
      cost_.backward_bytes += traffic.backward.bytes;
      cost_.backward_calls += traffic.backward.calls;
    }
  }

  void AddMemory() {
    if (TravelsByHeads()) {
      for (int rank : Ranks()) AddMemoryOfHeads(rank);
      return;
    }
    const SequenceParallel method = planned_.value_or(kBaseline);
    cost_.memory_bytes = PlannedMemory(method, 0);
    if (cost_.layout == TokenLayout::kZigzag) {
      // Or of the rank whose first part ends last.
      cost_.memory_bytes =
          std::max(cost_.memory_bytes, PlannedMemory(method, shape_.ranks - 1));
    }
    if (planned_) {
      cost_.buffer_bytes = StateScratch(*planned_) + RowParcels();
    } else if (shape_.ranks > 1) {
      // The exchange's own buffers in place of the baseline's.
      cost_.memory_bytes += cost_.buffer_bytes - StateScratch(kBaseline);
    }
  }

  void AddMemoryOfHeads(int rank) {
    const LinearAttentionSpec& linear = model_.linear;
    const SoftmaxAttentionSpec& attention = model_.softmax;
    cost_.memory_bytes =
        std::max(cost_.memory_bytes, PlannedMemory(*planned_, rank));
    const auto add = [&](int64_t heads, int64_t key_heads,
                         const HeadTraffic& traffic) {
      const HeadExchangeShape shape = {shape_.batch, ranges_, heads, key_heads,
                                       shape_.element_bytes};
      cost_.buffer_bytes =
          std::max(cost_.buffer_bytes, HeadScratchBytes(shape, traffic, rank));
    };
    if (HasCutLayers()) {
      // The gathered rows, and in training those of the other direction.
      cost_.buffer_bytes =
          std::max(cost_.buffer_bytes, (shape_.train ? 2 : 1) * shape_.batch *
                                           shape_.tokens * model_.hidden_size *
                                           shape_.element_bytes);
    }
    if (LinearByHeads()) {
      add(linear.heads, linear.key_heads, HeadTrafficOf(FormOf(linear)));
    } else {
      cost_.buffer_bytes =
          std::max(cost_.buffer_bytes, StateScratch(*planned_));
    }
    if (SoftmaxByHeads()) {
      add(attention.heads, attention.key_heads, HeadTrafficOf(attention));
    }
  }

  int64_t PlannedMemory(SequenceParallel method, int rank) const {
    RunShape run;
    run.rank = rank;
    run.mode = shape_.train ? RunMode::kTrain : RunMode::kEvaluate;
    run.batch = shape_.batch;
    run.ranges = ranges_;
    run.element_bytes = shape_.element_bytes;
    run.backend = shape_.backend;
    run.method = method;
    run.softmax_method = softmax();
    run.layout = cost_.layout;
    run.state_gather = shape_.state_gather;
    return PlanMemory(model_, run).total_bytes();
  }

  // 0 where no layer has a state, or no rank to send it to.
  int64_t StateScratch(SequenceParallel method) const {
    if (shape_.ranks == 1 || !HasLinear() || SharesHeads(method)) return 0;
    const StateExchangeShape state =
        StateShapeOf(model_.linear, shape_.batch, shape_.state_gather);
    return AccumulatorBytes(shape_.element_bytes) *
           StateExchangeScratch(method, state, FilledParts(ranges_), true);
  }

  // Of rows that travel, in the pass that takes more.
  int64_t RowParcels() const {
    if (shape_.ranks == 1 || !HasLinear() || !RowsTravel(*planned_)) return 0;
    const LinearAttentionSpec& linear = model_.linear;
    const RowWidths rows = SummaryRows(FormOf(linear), linear.heads,
                                       linear.key_heads, !shape_.train);
    return RowParcelBytes(ranges_, shape_.batch, rows, shape_.element_bytes);
  }

  const ModelSpec& model_;
  const SimulationShape& shape_;
  const std::vector<TokenRange> ranges_;
  const ExchangeMethod method_;
  const std::optional<SequenceParallel> planned_;
  MethodCost cost_;
};

}  // namespace

absl::StatusOr<MethodCost> Simulate(const ModelSpec& model,
                                    const SimulationShape& shape,
                                    const Network& network,
                                    const ComputeModel& compute,
                                    ExchangeMethod method) {
  RETURN_IF_ERROR(CheckNumbers(shape, compute));
  RETURN_IF_ERROR(SplitTokens(shape.tokens, shape.ranks).status());
  RETURN_IF_ERROR(CheckRanks(network, shape.ranks));
  RETURN_IF_ERROR(CheckMethod(method, model, shape.ranks));
  if (PlannedMethod(method)) {
    RETURN_IF_ERROR(
        CheckHeadCut(model, SoftmaxOf(method, shape.softmax), shape.ranks));
  }
  SimulationShape laid_out = shape;
  ASSIGN_OR_RETURN(laid_out.layout, LayoutFor(model, shape, method));
  ASSIGN_OR_RETURN(std::vector<TokenRange> ranges,
                   CutTokens(*laid_out.layout, shape.tokens, shape.ranks));
  const StepTime time =
      TimeStep(model, laid_out, ranges, network, compute, method);
  MethodCost cost = Coster(model, laid_out, std::move(ranges), method).Cost();
  cost.compute_s = time.compute_s;
  cost.total_s = time.total_s;
  cost.exposed_s = time.total_s - time.compute_s;
  cost.tokens_per_s =
      static_cast<double>(shape.tokens * shape.batch) / time.total_s;
  return cost;
}

}  // namespace longspan
