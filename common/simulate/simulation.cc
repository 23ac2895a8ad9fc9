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
#include "common/model_spec/left_ring_plan.h"
#include "common/model_spec/linear_layer_form.h"
#include "common/model_spec/memory_plan.h"
#include "common/model_spec/parameter_layout.h"
#include "common/model_spec/precision.h"
#include "common/model_spec/row_exchange_plan.h"
#include "common/model_spec/token_layout.h"
#include "common/model_spec/token_range.h"
#include "common/simulate/step_time.h"

namespace longspan {
namespace {

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
  return CheckZigzag(PlannedMethod(method), SoftmaxOf(method, shape.softmax),
                     /*cuda=*/false);
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
  if (!shape.train) return TokenLayout::kContiguous;
  return ChooseLayout(model,
                      {.tokens = shape.tokens,
                       .batch = shape.batch,
                       .ranks = shape.ranks,
                       .element_bytes = shape.element_bytes,
                       .method = PlannedMethod(method),
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
      for (int rank : Ranks()) AddRank(rank);
    }
    AddMemory();
    return cost_;
  }

 private:
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
    return IsCut(LayerKind::kLinear) || IsCut(LayerKind::kSoftmax);
  }
  bool IsCut(LayerKind kind) const {
    return HasLayer(model_, kind) &&
           HeadsAreCut(planned_, softmax(), kind, shape_.ranks);
  }
  bool LinearByHeads() const {
    return HeadsTravel(planned_) && HasLinear() && shape_.ranks > 1;
  }
  bool SoftmaxByHeads() const {
    return HeadsTravel(softmax(), shape_.ranks) &&
           HasLayer(model_, LayerKind::kSoftmax);
  }

  void AddRank(int rank) {
    CommunicationShape shape;
    shape.batch = shape_.batch;
    shape.ranges = ranges_;
    shape.element_bytes = shape_.element_bytes;
    shape.backward = shape_.train;
    shape.method = planned_;
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

  static void AddTransfer(const PlannedTransfer& transfer, MethodCost& sent) {
    if (transfer.kind == TransferKind::kGradientSync) {
      sent.gradient_bytes += transfer.bytes_sent;
    } else if (transfer.direction == TransferDirection::kForward) {
      sent.forward_bytes += transfer.bytes_sent;
      sent.forward_calls += transfer.launches;
    } else {
      sent.backward_bytes += transfer.bytes_sent;
      sent.backward_calls += transfer.launches;
    }
  }

  void AddMemory() {
    if (TravelsByHeads()) {
      for (int rank : Ranks()) AddMemoryOfHeads(rank);
      return;
    }
    cost_.memory_bytes = PlannedMemory(0);
    if (cost_.layout == TokenLayout::kZigzag) {
      // Or of the rank whose first part ends last.
      cost_.memory_bytes =
          std::max(cost_.memory_bytes, PlannedMemory(shape_.ranks - 1));
    }
    if (shape_.ranks == 1 || !HasLinear()) return;
    cost_.buffer_bytes = planned_ == SequenceParallel::kRingLeft
                             ? LeftRingScratch()
                             : StateScratch() + RowParcels();
  }

  void AddMemoryOfHeads(int rank) {
    const LinearAttentionSpec& linear = model_.linear;
    const SoftmaxAttentionSpec& attention = model_.softmax;
    cost_.memory_bytes = std::max(cost_.memory_bytes, PlannedMemory(rank));
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
    } else if (HasLinear() && !SharesHeads(planned_)) {
      cost_.buffer_bytes = std::max(cost_.buffer_bytes, StateScratch());
    }
    if (SoftmaxByHeads()) {
      add(attention.heads, attention.key_heads, HeadTrafficOf(attention));
    }
  }

  int64_t PlannedMemory(int rank) const {
    RunShape run;
    run.rank = rank;
    run.mode = shape_.train ? RunMode::kTrain : RunMode::kEvaluate;
    run.batch = shape_.batch;
    run.ranges = ranges_;
    run.element_bytes = shape_.element_bytes;
    run.backend = shape_.backend;
    run.method = planned_;
    run.softmax_method = softmax();
    run.layout = cost_.layout;
    run.state_gather = shape_.state_gather;
    return PlanMemory(model_, run).total_bytes();
  }

  // Of layers that have a state, and ranks to send it to.
  int64_t StateScratch() const {
    const StateExchangeShape state =
        StateShapeOf(model_.linear, shape_.batch, shape_.state_gather);
    return AccumulatorBytes(shape_.element_bytes) *
           StateExchangeScratch(planned_, state, FilledParts(ranges_), true);
  }

  // Of rows that travel, in the pass that takes more.
  int64_t RowParcels() const {
    if (!RowsTravel(planned_)) return 0;
    const LinearAttentionSpec& linear = model_.linear;
    const RowWidths rows = SummaryRows(FormOf(linear), linear.heads,
                                       linear.key_heads, !shape_.train);
    return RowParcelBytes(ranges_, shape_.batch, rows, shape_.element_bytes);
  }
  int64_t LeftRingScratch() const {
    return LeftRingScratchBytes(LeftRingShapeOf(model_.linear, shape_.batch,
                                                ranges_, shape_.element_bytes),
                                /*forward=*/!shape_.train);
  }

  const ModelSpec& model_;
  const SimulationShape& shape_;
  const std::vector<TokenRange> ranges_;
  const ExchangeMethod method_;
  const SequenceParallel planned_;
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
  RETURN_IF_ERROR(
      CheckHeadCut(model, SoftmaxOf(method, shape.softmax), shape.ranks));
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
