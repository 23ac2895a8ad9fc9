#include "worker/model/recurrence_by_left_ring.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/model_spec/kv_exchange_plan.h"

namespace longspan::worker {
namespace {

using kernels::ChunkTerms;
using kernels::ConstTensorView;
using kernels::DType;
using kernels::LinearAttentionInputs;
using kernels::LinearAttentionStage;
using kernels::TensorView;

// What of a range travels, wider types first.
std::vector<ConstTensorView> RowsOf(const LinearAttentionInputs& inputs,
                                    ConstTensorView keys,
                                    ConstTensorView values) {
  std::vector<ConstTensorView> rows;
  if (!inputs.log_gate.is_null()) rows.push_back(inputs.log_gate);
  rows.push_back(keys);
  rows.push_back(values);
  return rows;
}

template <typename View>
View FlatRows(const View& x) {
  return x.Reshape({x.size(0) * x.size(1), x.size(2) * x.size(3)});
}

// One head of one batch element.
struct Head {
  int64_t element = 0;
  int64_t index = 0;
  int64_t heads = 1;

  // [n, D] of x [B, n, .., D]. One of q and k serves several heads in a row.
  template <typename View>
  View Of(const View& x) const {
    return x.Select(0, element).Select(1, index / (heads / x.size(2)));
  }
};

template <typename Use>
absl::Status ForEachHead(int64_t batch, int64_t heads, const Use& use) {
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t h = 0; h < heads; ++h) {
      RETURN_IF_ERROR(use(Head{b, h, heads}));
    }
  }
  return absl::OkStatus();
}

// ---- Products of two tokens ------------------------------------------------
//
// Of queries t with keys s, of every head: a and b have the heads of q and k,
// c and out those of v, or the reverse.

// Calls use(head, begin, end, scores) for the scores a_t . b_s of queries
// [begin, end) with all keys, which lie in `buffer`.
template <typename Use>
absl::Status ForEachScores(const RankContext& context, int64_t heads,
                           ConstTensorView a, ConstTensorView b,
                           TensorView buffer, const Use& use) {
  const int64_t queries = a.size(1), keys = b.size(1);
  return ForEachHead(a.size(0), heads, [&](const Head& head) -> absl::Status {
    for (int64_t begin = 0; begin < queries; begin += kLeftRingQueries) {
      const int64_t end = std::min(begin + kLeftRingQueries, queries);
      const TensorView scores =
          buffer.Slice(0, 0, (end - begin) * keys).Reshape({end - begin, keys});
      RETURN_IF_ERROR(context.backend->dense().MatMul(
          head.Of(a).Slice(0, begin, end), head.Of(b), scores,
          {.transpose_b = true}, *context.stream));
      RETURN_IF_ERROR(use(head, begin, end, scores));
    }
    return absl::OkStatus();
  });
}

// out_t += sum_s (a_t . b_s) c_s
absl::Status AddToQueries(const RankContext& context, ConstTensorView a,
                          ConstTensorView b, ConstTensorView c,
                          TensorView buffer, TensorView out) {
  return ForEachScores(
      context, std::max(a.size(2), c.size(2)), a, b, buffer,
      [&](const Head& head, int64_t begin, int64_t end, TensorView scores) {
        return context.backend->dense().MatMul(
            scores, head.Of(c), head.Of(out).Slice(0, begin, end),
            {.accumulate = true}, *context.stream);
      });
}

// out_s += sum_t (a_t . b_s) c_t
absl::Status AddToKeys(const RankContext& context, ConstTensorView a,
                       ConstTensorView b, ConstTensorView c, TensorView buffer,
                       TensorView out) {
  return ForEachScores(
      context, std::max(a.size(2), c.size(2)), a, b, buffer,
      [&](const Head& head, int64_t begin, int64_t end, TensorView scores) {
        return context.backend->dense().MatMul(
            scores, head.Of(c).Slice(0, begin, end), head.Of(out),
            {.transpose_a = true, .accumulate = true}, *context.stream);
      });
}

}  // namespace

// ---- Memory ----------------------------------------------------------------

LeftRingShape RecurrenceByLeftRing::ShapeOf(const RankContext& context,
                                            const LayerPass& pass) const {
  return {pass.shard->batch(), pass.shard->ranges(), parts_.heads,
          parts_.key_heads,    parts_.form,          context.element_bytes()};
}

TensorView RecurrenceByLeftRing::AllocateValues(const char* name,
                                                const RankContext& context,
                                                const LayerPass& pass,
                                                int64_t tokens) const {
  return context.arena->Allocate(
      name, context.dtype,
      {pass.shard->batch(), tokens, parts_.heads, parts_.form.columns});
}

void RecurrenceByLeftRing::AllocateTape(const RankContext& context,
                                        const LayerPass& pass,
                                        LinearAttentionTape& tape) const {
  if (!gated()) return;
  tape.outer = AllocateValues("outer", context, pass, pass.shard->tokens());
}

RecurrenceByLeftRing::Scratch RecurrenceByLeftRing::Allocate(
    const RankContext& context, const LayerPass& pass,
    const LinearAttentionTape& tape, bool forward) const {
  const int64_t longest = LongestRange(pass.shard->ranges());
  const int64_t own = pass.shard->tokens();
  Scratch scratch;
  scratch.parcels = context.arena->AllocateWorkspace(
      "parcels", LeftRingParcelBytes(ShapeOf(context, pass), forward));
  scratch.values = AllocateValues("decayed_v", context, pass, longest);
  if (!forward) {
    scratch.d_o = AllocateValues("decayed_d_o", context, pass, longest);
    scratch.outer_d_v = AllocateValues("outer_d_v", context, pass, own);
  }
  scratch.outer = tape.outer;
  if (forward && !gated()) {
    scratch.outer = AllocateValues("outer", context, pass, own);
  }
  scratch.scores = context.arena->Allocate("scores", context.dtype,
                                           {kLeftRingQueries * longest});
  return scratch;
}

int64_t RecurrenceByLeftRing::WorkspaceBytes(const RankContext& context,
                                             const LayerPass& pass,
                                             LinearAttentionStage stage) const {
  return RecurrenceWorkspaceBytes(context, stage, parts_.form,
                                  {pass.shard->batch(), pass.shard->tokens(),
                                   parts_.heads, parts_.key_heads});
}

int64_t RecurrenceByLeftRing::BackwardWorkspaceBytes(
    const RankContext& context, const LayerPass& pass) const {
  return WorkspaceBytes(context, pass, LinearAttentionStage::kGradients);
}

// ---- The walk --------------------------------------------------------------

RangeDecay RecurrenceByLeftRing::DecayOf(const RankContext& context,
                                         const LayerPass& pass, int rank,
                                         ConstTensorView log_gate) const {
  return RangeDecay(context, log_gate, parts_.log_decays,
                    pass.shard->documents_in(rank));
}

// What lies behind a range in which a document begins is passed on alone.
template <typename Use>
absl::Status RecurrenceByLeftRing::ForEachShard(const LayerPass& pass,
                                                RowRing& ring,
                                                const Use& use) const {
  bool hidden = false;
  Rows rows;
  for (int step = 1; step <= ring.steps(); ++step) {
    const int rank = ring.RankAt(step);
    RETURN_IF_ERROR(ring.Take(step, rows));
    if (hidden) continue;
    const ConstTensorView log_gate = gated() ? rows.front() : TensorView();
    RETURN_IF_ERROR(use(rank, log_gate, rows[rows.size() - 2], rows.back()));
    hidden = pass.shard->document_starts_in(rank);
  }
  return ring.Finish();
}

template <typename Use>
absl::Status RecurrenceByLeftRing::ForEachEarlier(const RankContext& context,
                                                  const LayerPass& pass,
                                                  RowRing& ring,
                                                  TensorView buffer,
                                                  const Use& use) const {
  std::vector<double> between = NothingBetween(pass);
  return ForEachShard(
      pass, ring,
      [&](int rank, ConstTensorView log_gate, ConstTensorView k,
          ConstTensorView v) -> absl::Status {
        ASSIGN_OR_RETURN(
            const TensorView decayed,
            DecayOf(context, pass, rank, log_gate).ToEnd(v, buffer, between));
        return use(k, decayed);
      });
}

// ---- Forward ---------------------------------------------------------------

absl::Status RecurrenceByLeftRing::Forward(
    const RankContext& context, const LayerPass& pass, LayerState* state,
    const Inputs& inputs, const LinearAttentionTape& tape, TensorView o) const {
  if (state != nullptr) {
    return absl::UnimplementedError(absl::StrCat(
        "layer ", parts_.layer, ": sequence_parallel ring_left with a state, ",
        "which it never makes; it serves training"));
  }
  RETURN_IF_ERROR(CheckLeftProduct(parts_.form, "the layer"));
  kernels::Elementwise& elementwise = context.backend->elementwise();
  const TensorView workspace = context.arena->AllocateWorkspace(
      "workspace",
      WorkspaceBytes(context, pass, LinearAttentionStage::kOutputs));
  const Scratch scratch = Allocate(context, pass, tape, /*forward=*/true);
  RowRing ring(context, parts_.layer, Direction::kForward, Direction::kForward,
               *pass.shard, RowsOf(inputs, inputs.k, inputs.v),
               scratch.parcels);
  RETURN_IF_ERROR(ring.Start());
  Inputs own = inputs;
  own.documents = pass.shard->documents();
  RETURN_IF_ERROR(context.backend->linear_attention().Outputs(
      own, ConstTensorView(), ChunkTerms::kAll, {o, TensorView()}, workspace,
      *context.stream));
  RETURN_IF_ERROR(
      elementwise.SetZero(FlatRows(scratch.outer), *context.stream));

  RETURN_IF_ERROR(ForEachEarlier(context, pass, ring, scratch.values,
                                 [&](ConstTensorView k, ConstTensorView v) {
                                   return AddToQueries(context, inputs.q, k, v,
                                                       scratch.scores,
                                                       scratch.outer);
                                 }));

  std::vector<double> before = NothingBetween(pass);
  ASSIGN_OR_RETURN(
      const TensorView outer,
      DecayOf(context, pass, context.rank(), inputs.log_gate)
          .FromBegin(inputs.scale, scratch.outer, scratch.values, before));
  return elementwise.Add(FlatRows(o), FlatRows(outer), FlatRows(o),
                         *context.stream);
}

// ---- Backward --------------------------------------------------------------

absl::Status RecurrenceByLeftRing::Backward(
    const RankContext& context, const LayerPass& pass, const Inputs& inputs,
    const LinearAttentionTape& tape, TensorView d_o, const Gradients& d_inputs,
    TensorView workspace) const {
  const Scratch scratch = Allocate(context, pass, tape, /*forward=*/false);
  RowRing ring(context, parts_.layer, Direction::kBackward, Direction::kForward,
               *pass.shard, RowsOf(inputs, inputs.k, inputs.v),
               scratch.parcels);
  RETURN_IF_ERROR(ring.Start());
  Inputs own = inputs;
  own.documents = pass.shard->documents();
  RETURN_IF_ERROR(context.backend->linear_attention().Gradients(
      own, ConstTensorView(), {d_o, ConstTensorView()}, ChunkTerms::kAll,
      d_inputs, workspace, *context.stream));
  std::vector<double> totals = NothingBetween(pass);
  RETURN_IF_ERROR(QueryGradients(context, pass, inputs, d_o, d_inputs, scratch,
                                 ring, totals));
  RETURN_IF_ERROR(
      KeyGradients(context, pass, inputs, d_o, d_inputs, scratch, totals));
  if (!gated()) return absl::OkStatus();
  return AddLaterRanks(context, totals, d_inputs.d_log_gate);
}

absl::Status RecurrenceByLeftRing::QueryGradients(
    const RankContext& context, const LayerPass& pass, const Inputs& inputs,
    ConstTensorView d_o, const Gradients& d_inputs, const Scratch& scratch,
    RowRing& ring, std::vector<double>& totals) const {
  std::vector<double> before = NothingBetween(pass);
  ASSIGN_OR_RETURN(const TensorView decayed_d_o,
                   DecayOf(context, pass, context.rank(), inputs.log_gate)
                       .FromBegin(inputs.scale, d_o, scratch.d_o, before));
  RETURN_IF_ERROR(ForEachEarlier(context, pass, ring, scratch.values,
                                 [&](ConstTensorView k, ConstTensorView v) {
                                   return AddToQueries(context, decayed_d_o, v,
                                                       k, scratch.scores,
                                                       d_inputs.d_q);
                                 }));
  if (!gated()) return absl::OkStatus();
  return AddSuffixes(context, 1.0, decayed_d_o, scratch.outer,
                     d_inputs.d_log_gate, totals);
}

absl::Status RecurrenceByLeftRing::KeyGradients(
    const RankContext& context, const LayerPass& pass, const Inputs& inputs,
    ConstTensorView d_o, const Gradients& d_inputs, const Scratch& scratch,
    std::vector<double>& totals) const {
  kernels::Elementwise& elementwise = context.backend->elementwise();
  RowRing ring(context, parts_.layer, Direction::kBackward,
               Direction::kBackward, *pass.shard, RowsOf(inputs, inputs.q, d_o),
               scratch.parcels);
  RETURN_IF_ERROR(ring.Start());
  const RangeDecay own =
      DecayOf(context, pass, context.rank(), inputs.log_gate);
  std::vector<double> after = NothingBetween(pass);
  ASSIGN_OR_RETURN(const TensorView decayed_v,
                   own.ToEnd(inputs.v, scratch.values, after));
  RETURN_IF_ERROR(
      elementwise.SetZero(FlatRows(scratch.outer_d_v), *context.stream));
  std::vector<double> between = NothingBetween(pass);
  RETURN_IF_ERROR(ForEachShard(
      pass, ring,
      [&](int rank, ConstTensorView log_gate, ConstTensorView q,
          ConstTensorView later_d_o) -> absl::Status {
        ASSIGN_OR_RETURN(
            const TensorView decayed,
            DecayOf(context, pass, rank, log_gate)
                .FromBegin(inputs.scale, later_d_o, scratch.d_o, between));
        RETURN_IF_ERROR(AddToKeys(context, decayed, decayed_v, q,
                                  scratch.scores, d_inputs.d_k));
        return AddToKeys(context, q, inputs.k, decayed, scratch.scores,
                         scratch.outer_d_v);
      }));
  if (gated()) {
    RETURN_IF_ERROR(AddSuffixes(context, -1.0, decayed_v, scratch.outer_d_v,
                                d_inputs.d_log_gate, totals));
  }
  after = NothingBetween(pass);
  ASSIGN_OR_RETURN(const TensorView outer_d_v,
                   own.ToEnd(scratch.outer_d_v, scratch.values, after));
  return ForEachHead(pass.shard->batch(), parts_.heads, [&](const Head& head) {
    const TensorView d_v = head.Of(d_inputs.d_v);
    return elementwise.Add(d_v, head.Of(outer_d_v), d_v, *context.stream);
  });
}

absl::Status RecurrenceByLeftRing::AddLaterRanks(
    const RankContext& context, const std::vector<double>& totals,
    TensorView d_log_gate) const {
  const int64_t count = static_cast<int64_t>(totals.size());
  std::vector<double> all(count * context.ranks());
  std::vector<TensorView> rows;
  for (int r = 0; r < context.ranks(); ++r) {
    rows.emplace_back(all.data() + r * count, DType::kF64,
                      std::initializer_list<int64_t>{count});
  }
  RETURN_IF_ERROR(
      context.group
          ->AllGather(
              ConstTensorView(totals.data(), DType::kF64, {count}), rows,
              {Traffic::kRowExchange, Direction::kBackward, parts_.layer})
          ->Wait());
  std::vector<double> later(count);
  for (int r = context.rank() + 1; r < context.ranks(); ++r) {
    for (int64_t i = 0; i < count; ++i) later[i] += all[r * count + i];
  }
  return AddToAllTokens(context, later, d_log_gate);
}

}  // namespace longspan::worker
