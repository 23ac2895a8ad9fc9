#include "common/model_spec/communication_plan.h"

#include <algorithm>
#include <utility>

#include "common/model_spec/head_exchange_plan.h"
#include "common/model_spec/head_slices.h"
#include "common/model_spec/left_ring_plan.h"
#include "common/model_spec/parameter_layout.h"
#include "common/model_spec/precision.h"
#include "common/model_spec/projection_widths.h"
#include "common/model_spec/row_exchange_plan.h"

namespace longspan {
namespace {

class Planner {
 public:
  Planner(const ModelSpec& spec, const CommunicationShape& shape, int rank)
      : spec_(spec),
        shape_(shape),
        rank_(rank),
        ranks_(RankCount(shape.layout, shape.ranges.size())) {}

  std::vector<PlannedTransfer> Plan() {
    if (ranks_ > 1) PlanLayers();
    if (shape_.backward && ranks_ * shape_.replicas > 1) PlanGradients();
    return std::move(transfers_);
  }

 private:
  void PlanLayers() {
    for (int layer = 0; layer < spec_.layer_count; ++layer) {
      const LayerKind kind = LayerKindAt(spec_, layer);
      if (HeadsAreCut(shape_.method, shape_.softmax_method, kind, ranks_)) {
        PlanCutLayer(layer);
      } else if (kind == LayerKind::kLinear) {
        PlanHalo(layer);
        PlanRecurrence(layer);
      } else {
        PlanKeyValues(layer);
      }
    }
  }

  // Backward gathers the gradient of the output and the input.
  void PlanCutLayer(int layer) {
    const GatherMoves in = PlanInputGather(shape_.ranges, shape_.batch, rank_);
    const GatherMoves out =
        PlanOutputScatter(shape_.ranges, shape_.batch, rank_);
    const int64_t row = spec_.hidden_size * unit();
    Add(TransferKind::kHeadExchange, TransferDirection::kForward, layer, 2,
        in.sent + out.sent, in.received + out.received, row);
    if (!shape_.backward) return;
    Add(TransferKind::kHeadExchange, TransferDirection::kBackward, layer, 3,
        2 * in.sent + out.sent, 2 * in.received + out.received, row);
  }

  void PlanRecurrence(int layer) {
    if (HeadsTravel(shape_.method)) {
      PlanHeads(layer);
    } else if (RowsTravel(shape_.method)) {
      PlanRows(layer);
    } else if (shape_.method == SequenceParallel::kRingLeft) {
      AddLeftRing(TransferDirection::kForward, layer);
      if (shape_.backward) AddLeftRing(TransferDirection::kBackward, layer);
    } else {
      PlanStates(layer);
    }
  }

  void Add(TransferKind kind, TransferDirection direction, int layer,
           int64_t launches, int64_t sent, int64_t received, int64_t unit) {
    transfers_.push_back(
        {kind, direction, layer, launches, sent * unit, received * unit});
  }

  int own_parts() const {
    return static_cast<int>(
        PartsOf(shape_.layout, shape_.ranges, rank_).size());
  }

  // Bytes of an activation and of a sum.
  int64_t unit() const { return shape_.element_bytes; }
  int64_t wide() const { return AccumulatorBytes(shape_.element_bytes); }

  void PlanStates(int layer) {
    const StateExchangeShape state =
        StateShapeOf(spec_.linear, shape_.batch, shape_.state_gather);
    AddStates(TransferDirection::kForward, layer, state);
    if (shape_.backward) AddStates(TransferDirection::kBackward, layer, state);
  }

  void AddStates(TransferDirection direction, int layer,
                 const StateExchangeShape& state) {
    const bool forward = direction == TransferDirection::kForward;
    const StateMoves moves =
        shape_.layout == TokenLayout::kZigzag
            ? PlanPartMoves(state, own_parts(), FilledParts(shape_.ranges),
                            ranks_, forward)
            : PlanStateMoves(shape_.method, state, rank_, ranks_, forward,
                             shape_.carries_state);
    Add(TransferKind::kStateExchange, direction, layer, moves.calls, moves.sent,
        moves.received, wide());
  }

  void PlanHeads(int layer) {
    AddHeads(layer, spec_.linear.heads, spec_.linear.key_heads,
             HeadTrafficOf(FormOf(spec_.linear)));
    if (shape_.carries_state) PlanLeavingHeads(layer);
  }

  void AddHeads(int layer, int64_t heads, int64_t key_heads,
                const HeadTraffic& traffic) {
    const HeadExchangeShape shape = {shape_.batch, shape_.ranges, heads,
                                     key_heads, shape_.element_bytes};
    const HeadMoves in = PlanHeadMoves(shape, traffic.in, rank_);
    const HeadMoves out = PlanHeadMoves(shape, traffic.out, rank_);
    // Rows of `in` go to the heads forward and come back backward; of `out`
    // the reverse.
    Add(TransferKind::kHeadExchange, TransferDirection::kForward, layer, 2,
        in.sent + out.received, in.received + out.sent, 1);
    if (shape_.backward) {
      Add(TransferKind::kHeadExchange, TransferDirection::kBackward, layer, 2,
          out.sent + in.received, out.received + in.sent, 1);
    }
  }

  void PlanLeavingHeads(int layer) {
    const LinearAttentionSpec& linear = spec_.linear;
    const LinearLayerForm form = FormOf(linear);
    const int64_t head = shape_.batch * form.features * form.columns;
    const int64_t own =
        head *
        CutHeads(linear.heads, linear.key_heads, rank_, ranks_).heads.size();
    Add(TransferKind::kStateExchange, TransferDirection::kForward, layer, 1,
        (ranks_ - 1) * own, head * linear.heads - own, wide());
  }

  void PlanRows(int layer) {
    AddRows(TransferDirection::kForward, layer);
    if (shape_.backward) AddRows(TransferDirection::kBackward, layer);
    if (!shape_.carries_state) return;
    const int64_t state = StateShapeOf(spec_.linear, shape_.batch).state;
    const bool last = rank_ == ranks_ - 1;
    Add(TransferKind::kStateExchange, TransferDirection::kForward, layer, 1,
        last ? (ranks_ - 1) * state : 0, last ? 0 : state, wide());
  }

  void AddRows(TransferDirection direction, int layer) {
    const bool forward = direction == TransferDirection::kForward;
    const RowWidths rows = SummaryRows(FormOf(spec_.linear), spec_.linear.heads,
                                       spec_.linear.key_heads, forward);
    const RowMoves moves = PlanRowMoves(shape_.ranges, rank_, forward);
    Add(TransferKind::kRowExchange, direction, layer, moves.calls, moves.sent,
        moves.received, shape_.batch * rows.Bytes(unit()));
  }

  void AddLeftRing(TransferDirection direction, int layer) {
    const LeftRingMoves moves = PlanLeftRing(
        LeftRingShapeOf(spec_.linear, shape_.batch, shape_.ranges, unit()),
        rank_, direction == TransferDirection::kForward);
    Add(TransferKind::kRowExchange, direction, layer, moves.calls, moves.sent,
        moves.received, 1);
  }

  void PlanKeyValues(int layer) {
    const SoftmaxAttentionSpec& softmax = spec_.softmax;
    if (HeadsTravel(shape_.softmax_method, ranks_)) {
      return AddHeads(layer, softmax.heads, softmax.key_heads,
                      HeadTrafficOf(softmax));
    }
    AddKeyValues(TransferDirection::kForward, layer);
    if (shape_.backward) AddKeyValues(TransferDirection::kBackward, layer);
  }

  void AddKeyValues(TransferDirection direction, int layer) {
    const int64_t width =
        2 * spec_.softmax.key_heads * spec_.softmax.head_dim * shape_.batch;
    const bool forward = direction == TransferDirection::kForward;
    const KvMoves moves =
        shape_.layout == TokenLayout::kZigzag
            ? PlanPartKvMoves(shape_.ranges, rank_, forward)
            : PlanKvMoves(shape_.softmax_method, shape_.ranges,
                          spec_.softmax.window, rank_, forward);
    if (moves.calls == 0) return;
    const int64_t slices =
        KeySliceCount(shape_.softmax_method, ranks_, spec_.softmax.key_heads,
                      shape_.carries_state);
    Add(TransferKind::kKeyValueExchange, direction, layer, slices * moves.calls,
        moves.sent * unit() + moves.sums_sent * wide(),
        moves.received * unit() + moves.sums_received * wide(), width);
  }

  void PlanHalo(int layer) {
    const int64_t kernel = spec_.linear.short_convolution;
    if (kernel == 0) return;
    const int64_t width =
        shape_.batch * LinearProjectionWidths(spec_.linear).convolved;
    int64_t sent = 0, received = 0, calls = 0;
    for (const HaloMove& move : PlanHalos(shape_.ranges, kernel)) {
      const int from = OwnerOf(move.from, ranks_);
      const int to = OwnerOf(move.to, ranks_);
      if (from == to || (from != rank_ && to != rank_)) continue;
      ++calls;
      (from == rank_ ? sent : received) += move.tokens.size() * width;
    }
    if (shape_.backward && calls > 0) {
      Add(TransferKind::kConvolutionHalo, TransferDirection::kBackward, layer,
          calls, received, sent, unit());
    }
    const int64_t tail = shape_.carries_state ? (kernel - 1) * width : 0;
    const bool last = rank_ == ranks_ - 1;
    sent += last ? (ranks_ - 1) * tail : 0;
    received += last ? 0 : tail;
    const int64_t launches = calls + (tail > 0 ? 1 : 0);
    if (launches == 0) return;
    Add(TransferKind::kConvolutionHalo, TransferDirection::kForward, layer,
        launches, sent, received, unit());
  }

  void PlanGradients() {
    const int64_t count = LayoutParameters(spec_).total + kGradientTail;
    const int64_t bytes =
        AllReduceBytes(count, wide(), shape_.replica * ranks_ + rank_,
                       shape_.replicas * ranks_);
    transfers_.push_back({TransferKind::kGradientSync, TransferDirection::kNone,
                          -1, 1, bytes, bytes});
  }

  const ModelSpec& spec_;
  const CommunicationShape& shape_;
  const int rank_;
  const int ranks_;
  std::vector<PlannedTransfer> transfers_;
};

}  // namespace

StateExchangeShape StateShapeOf(const LinearAttentionSpec& linear,
                                int64_t batch, const GatherSettings& gather) {
  const LinearLayerForm form = FormOf(linear);
  StateExchangeShape state;
  state.heads = batch * linear.heads;
  state.state = state.heads * form.features * form.columns;
  state.decay = batch * RangeDecayCount(linear);
  state.decay_travels = RangeDecayTravels(form);
  state.gather = gather;
  return state;
}

std::vector<PlannedTransfer> PlanCommunication(const ModelSpec& spec,
                                               const CommunicationShape& shape,
                                               int rank) {
  return Planner(spec, shape, rank).Plan();
}

std::vector<HaloMove> PlanHalos(absl::Span<const TokenRange> ranges,
                                int64_t kernel_size) {
  std::vector<HaloMove> moves;
  const int parts = FilledParts(ranges);
  for (int distance = 1; distance < parts; ++distance) {
    const size_t nearer = moves.size();
    for (int from = 0; from + distance < parts; ++from) {
      const int to = from + distance;
      const int64_t halo_begin = ranges[to].begin - (kernel_size - 1);
      const TokenRange tokens = {std::max(ranges[from].begin, halo_begin),
                                 ranges[from].end};
      if (tokens.size() > 0) moves.push_back({from, to, tokens});
    }
    if (moves.size() == nearer) break;  // what lies between is long enough
  }
  return moves;
}

int64_t HaloStagingTokens(int64_t kernel_size, int ranks) {
  if (ranks == 1) return 0;
  const int64_t border = kernel_size - 1;
  return border + border * (border + 1) / 2;
}

int64_t AllReduceBytes(int64_t count, int64_t element_bytes, int rank,
                       int ranks) {
  constexpr int64_t kWholeBytes = 64 << 10;
  const int64_t bytes = count * element_bytes;
  if (ranks <= 2 || bytes <= kWholeBytes) return (ranks - 1) * bytes;
  const int64_t own =
      (count / ranks + (rank < count % ranks ? 1 : 0)) * element_bytes;
  return (bytes - own) + (ranks - 1) * own;
}

}  // namespace longspan
