#include "common/simulate/step_time.h"

#include <algorithm>
#include <optional>

#include "common/model_spec/communication_plan.h"
#include "common/model_spec/head_exchange_plan.h"
#include "common/model_spec/left_ring_plan.h"
#include "common/model_spec/linear_layer_form.h"
#include "common/model_spec/model_cost.h"
#include "common/model_spec/parameter_layout.h"
#include "common/model_spec/precision.h"
#include "common/model_spec/projection_widths.h"
#include "common/model_spec/row_exchange_plan.h"
#include "common/model_spec/token_layout.h"
#include "common/simulate/rank_clocks.h"

namespace longspan {
namespace {

class Stepper {
 public:
  Stepper(const ModelSpec& model, const SimulationShape& shape,
          absl::Span<const TokenRange> parts, const Network& network,
          const ComputeModel& compute, ExchangeMethod method)
      : model_(model),
        shape_(shape),
        parts_(parts),
        network_(network),
        rate_(compute.flops_per_s),
        method_(method),
        clocks_(network, shape.ranks),
        rows_(static_cast<double>(shape.batch) * longest()),
        linear_(LinearFlopsPerToken(model.linear)),
        state_(StateShapeOf(model.linear, shape.batch, shape.state_gather)) {
    clocks_.Compute(compute.fixed_s);
  }

  StepTime Run() {
    const double dense = DenseSeconds();
    const int64_t layers = model_.layer_count;
    for (int64_t layer = 0; layer < layers; ++layer) {
      Pass(layer, dense / layers, true);
    }
    for (int64_t layer = layers; shape_.train && layer-- > 0;) {
      Pass(layer, dense / layers, false);
    }
    if (shape_.train) SyncGradients();
    return {clocks_.busiest(), clocks_.last()};
  }

 private:
  int64_t longest() const {
    return (shape_.tokens + shape_.ranks - 1) / shape_.ranks;
  }
  double wide() const {
    return static_cast<double>(AccumulatorBytes(shape_.element_bytes));
  }
  double Window(double seconds) const { return shape_.overlap ? seconds : 0; }
  double Rest(double seconds) const { return shape_.overlap ? 0 : seconds; }

  bool zigzag() const { return *shape_.layout == TokenLayout::kZigzag; }

  // All that is no recurrence and no scores, of one rank, forward.
  double DenseSeconds() const {
    double flops = ForwardFlopsPerToken(model_, 0);
    for (int64_t layer = 0; layer < model_.layer_count; ++layer) {
      if (IsLinear(layer)) flops -= linear_.total();
    }
    return flops * rows_ / rate_;
  }
  bool IsLinear(int64_t layer) const {
    return LayerKindAt(model_, layer) == LayerKind::kLinear;
  }

  void Pass(int64_t layer, double dense, bool forward) {
    const double scale = forward ? 1.0 : 2.0;
    if (!forward) clocks_.Compute(scale * dense);
    if (IsLinear(layer)) {
      if (forward) Halo(true);
      Linear(forward, scale * rows_ / rate_);
      if (!forward) Halo(false);
    } else {
      Softmax(forward, scale);
    }
    if (forward) clocks_.Compute(dense);
  }

  // Border tokens of a short convolution, from the rank before.
  void Halo(bool forward) {
    const int64_t kernel = model_.linear.short_convolution;
    if (kernel < 2 || shape_.ranks == 1) return;
    if (method_ == ExchangeMethod::kMegatronSp) return;
    const double bytes =
        static_cast<double>((kernel - 1) * shape_.batch * shape_.element_bytes *
                            LinearProjectionWidths(model_.linear).convolved);
    clocks_.Shift(bytes, forward);
    // Of the second parts, which go down the ranks.
    if (zigzag()) clocks_.Shift(bytes, !forward);
  }

  // ---- Linear layers. `unit`: seconds of an operation per token.

  void Linear(bool forward, double unit) {
    const double summary = linear_.state * unit;
    const double intra = linear_.intra * unit;
    const double output = linear_.output * unit;
    if (shape_.ranks == 1) {
      clocks_.Compute(summary + intra + output);
    } else if (StateMethod(method_)) {
      States(forward, summary, intra);
      clocks_.Compute(output);
    } else if (method_ == ExchangeMethod::kRing) {
      Rows(forward, summary, intra);
      clocks_.Compute(output);
    } else if (method_ == ExchangeMethod::kRingLeft) {
      LeftRing(forward, summary + intra + output);
    } else if (method_ == ExchangeMethod::kUlysses) {
      ByHeads(forward, summary + intra + output);
    } else {
      Reshaped(forward,
               (summary + intra + output) * static_cast<double>(shape_.tokens) /
                   static_cast<double>(longest() * model_.linear.heads),
               model_.linear.heads, model_.linear.key_heads);
    }
  }

  void States(bool forward, double summary, double intra) {
    switch (method_) {
      case ExchangeMethod::kLasp2:
        clocks_.Compute(summary);
        clocks_.Collective(GatherSeconds(forward), Window(intra));
        break;
      case ExchangeMethod::kScan:
        clocks_.Compute(summary);
        clocks_.Scan((state_.state + state_.decay) * wide(), forward,
                     Window(intra));
        break;
      default:
        Chain(forward, summary, intra);
        return;
    }
    clocks_.Compute(Rest(intra));
  }

  // Of every part that a rank holds: the gathers are in flight together, and
  // so are the calls of one that is split, over the same links.
  double GatherSeconds(bool forward) const {
    const int splits = state_.gather.splits;
    const double bytes = (zigzag() ? 2 : 1) * state_.gathered(forward) * wide();
    return splits * AllGatherSeconds(network_, shape_.ranks, bytes / splits);
  }

  void Chain(bool forward, double summary, double intra) {
    RankClocks::Chain chain;
    chain.bytes = state_.state * wide();
    chain.blocks = StateBlocks(*StateMethod(method_), state_.heads);
    chain.forward = forward;
    chain.waits_first = method_ == ExchangeMethod::kLasp1Serial;
    if (chain.waits_first) {
      chain.before_send = summary;
      chain.window = intra;
    } else {
      clocks_.Compute(summary);
      chain.window = Window(intra);
    }
    clocks_.PassOn(chain);
    if (!chain.waits_first) clocks_.Compute(Rest(intra));
  }

  // Every rank makes the summary of each range before it.
  void Rows(bool forward, double summary, double intra) {
    PassRows(forward, Window(intra), summary);
    clocks_.Compute(Rest(intra));
  }
  // `work`: of one shard that comes.
  void PassRows(bool upwards, double window, double work) {
    const LinearAttentionSpec& linear = model_.linear;
    const RowWidths widths =
        SummaryRows(FormOf(linear), linear.heads, linear.key_heads, upwards);
    RankClocks::Rows rows;
    rows.bytes = rows_ * widths.Bytes(shape_.element_bytes);
    rows.forward = upwards;
    rows.window = window;
    rows.work = work;
    clocks_.PassRows(rows);
  }

  // `own`: of the longest range. Backward rows go upwards for dq, then
  // downwards for dk and dv, whose products are twice those of the outputs.
  void LeftRing(bool forward, double own) {
    const double shard =
        rows_ * static_cast<double>(longest()) * LeftFlops() / rate_;
    PassRows(true, Window(own), shard);
    if (!forward) PassRows(false, 0, 2 * shard);
    clocks_.Compute(Rest(own));
    const LeftRingShape left = LeftRingShapeOf(model_.linear, shape_.batch,
                                               parts_, shape_.element_bytes);
    if (forward || !left.gated()) return;
    const double sums = static_cast<double>(LeftRingSumBytes(left));
    clocks_.Collective(AllGatherSeconds(network_, shape_.ranks, sums), 0);
  }
  // Scores and outputs of one query and one key, forward.
  double LeftFlops() const {
    const LinearLayerForm form = FormOf(model_.linear);
    return 2.0 * static_cast<double>(model_.linear.heads) *
           static_cast<double>(form.features + form.columns);
  }

  // `work`: of the longest range, all heads. A rank has all tokens of its own
  // heads.
  void ByHeads(bool forward, double work) {
    const double all = work * static_cast<double>(shape_.tokens) /
                       static_cast<double>(longest() * model_.linear.heads);
    ByHeads(forward, all, model_.linear.heads, model_.linear.key_heads,
            HeadTrafficOf(FormOf(model_.linear)));
  }
  // `head`: seconds of one over all tokens.
  void ByHeads(bool forward, double head, int64_t heads, int64_t key_heads,
               const HeadTraffic& traffic) {
    const double in = HeadSeconds(heads, key_heads, traffic.in);
    const double out = HeadSeconds(heads, key_heads, traffic.out);
    clocks_.Collective(forward ? in : out, 0);
    clocks_.Compute([&](int64_t rank) {
      return head *
             static_cast<double>(CutHeads(heads, key_heads,
                                          static_cast<int>(rank), shape_.ranks)
                                     .heads.size());
    });
    clocks_.Collective(forward ? out : in, 0);
  }
  // Of the largest parcels, which the rank with most heads gets of all others,
  // or sends them.
  double HeadSeconds(int64_t heads, int64_t key_heads,
                     const HeadRows& rows) const {
    const HeadExchangeShape shape = {shape_.batch, parts_, heads, key_heads,
                                     shape_.element_bytes};
    int64_t parcel = 0;
    for (int rank = 0; rank < shape_.ranks; ++rank) {
      parcel = std::max(parcel, HeadParcelBytes(shape, rows, 0, rank));
    }
    return AllToAllSeconds(network_, shape_.ranks, static_cast<double>(parcel));
  }

  // megatron_sp: every rank has all tokens of its heads. `head`: seconds of one
  // over all tokens.
  void Reshaped(bool forward, double head, int64_t heads, int64_t key_heads) {
    const auto share = [&](int64_t rank) {
      return head *
             static_cast<double>(CutHeads(heads, key_heads,
                                          static_cast<int>(rank), shape_.ranks)
                                     .heads.size());
    };
    clocks_.Collective(HiddenGather(), 0);
    if (forward) {
      clocks_.Compute(share);
    } else {
      // Meanwhile the input comes again, for the weights' gradients.
      const double least = share(shape_.ranks - 1);
      clocks_.Collective(HiddenGather(), Window(least));
      clocks_.Compute(
          [&](int64_t rank) { return share(rank) - Window(least); });
    }
    clocks_.Collective(HiddenGather(), 0);
  }
  double HiddenGather() const {
    return AllGatherSeconds(
        network_, shape_.ranks,
        rows_ * static_cast<double>(model_.hidden_size * shape_.element_bytes));
  }

  // ---- Softmax layers.

  // Of one token's k and v, of numbers of so many bytes.
  int64_t KeyValueBytes(int64_t number) const {
    return 2 * model_.softmax.key_heads * model_.softmax.head_dim * number;
  }
  // Seconds of the scores of so many pairs of tokens.
  double PairSeconds(double pairs, double scale) const {
    return scale * shape_.batch * pairs * SoftmaxFlopsPerPair(model_.softmax) /
           rate_;
  }
  // Of tokens [0, keys), those that the queries [0, queries) see, summed over
  // the queries.
  double PairsBefore(double queries, double keys) const {
    const double window = static_cast<double>(model_.softmax.window);
    const double end = std::min(queries, keys);
    // Keys that as many queries see as the window has tokens.
    const double flat =
        window > 0 ? std::clamp(queries - window, 0.0, end) : 0.0;
    return window * flat + queries * (end - flat) -
           (end * end - flat * flat) / 2;
  }
  double PairsOf(TokenRange queries, TokenRange keys) const {
    return PairsBefore(queries.end, keys.end) -
           PairsBefore(queries.begin, keys.end) -
           PairsBefore(queries.end, keys.begin) +
           PairsBefore(queries.begin, keys.begin);
  }
  // Of all queries of a rank.
  double CausalPairs(int rank) const {
    double pairs = 0;
    for (int part : PartsOf(*shape_.layout, parts_, rank)) {
      pairs += PairsOf(parts_[part], {0, shape_.tokens});
    }
    return pairs;
  }
  double AllPairs() const {
    return PairsOf({0, shape_.tokens}, {0, shape_.tokens});
  }

  void Softmax(bool forward, double scale) {
    if (shape_.ranks == 1) {
      clocks_.Compute(PairSeconds(AllPairs(), scale));
      return;
    }
    switch (SoftmaxOf(method_, shape_.softmax)) {
      case SoftmaxParallel::kGather:
        return GatheredKeys(forward, scale);
      case SoftmaxParallel::kRing:
        return SoftmaxRing(forward, scale);
      case SoftmaxParallel::kUlysses:
        return SoftmaxByHeads(forward, scale);
      case SoftmaxParallel::kMegatronSp:
        return Reshaped(forward, HeadPairSeconds(scale), model_.softmax.heads,
                        model_.softmax.key_heads);
    }
  }

  // A rank works on the shards of the ranks before it, as far as a window
  // reaches; nothing waits for ranks behind.
  void SoftmaxRing(bool forward, double scale) {
    const int64_t unit = shape_.element_bytes;
    const auto bytes = [&](int shard, int64_t of) {
      return static_cast<double>(shape_.batch * parts_[shard].size() *
                                 KeyValueBytes(of));
    };
    RankClocks::Keys keys;
    keys.bytes = [&](int shard) { return bytes(shard, unit); };
    if (!forward) {
      keys.sum_bytes = [&](int shard) {
        return bytes(shard, AccumulatorBytes(unit));
      };
    }
    keys.work = [&](int rank, int shard) {
      return PairSeconds(PairsOf(parts_[rank], parts_[shard]), scale);
    };
    keys.overlap = shape_.overlap;
    if (!route_) route_.emplace(parts_, model_.softmax.window, 0);
    clocks_.PassKeys(*route_, keys);
  }

  void SoftmaxByHeads(bool forward, double scale) {
    const SoftmaxAttentionSpec& softmax = model_.softmax;
    ByHeads(forward, HeadPairSeconds(scale), softmax.heads, softmax.key_heads,
            HeadTrafficOf(softmax));
  }
  // Of one head over all tokens.
  double HeadPairSeconds(double scale) const {
    return PairSeconds(AllPairs(), scale) /
           static_cast<double>(model_.softmax.heads);
  }

  // In slices of heads. Forward the first is waited for, each of the others
  // comes while ranks attend to the one before; backward the mirror image, with
  // the sums of gradients. Keys and values of forward are kept.
  void GatheredKeys(bool forward, double scale) {
    const SoftmaxAttentionSpec& softmax = model_.softmax;
    const int64_t count =
        KeySliceCount(SoftmaxParallel::kGather, shape_.ranks, softmax.key_heads,
                      /*carries_state=*/false);
    const std::vector<KeySlice> slices = CutKeyHeads(softmax.key_heads, count);
    const auto share = [&](int64_t i) {
      return static_cast<double>(slices[i].heads()) / softmax.key_heads;
    };
    if (forward) clocks_.Collective(SliceSeconds(share(0), forward), 0);
    for (int64_t i = 0; i < count; ++i) {
      const auto attend = [&](int64_t rank) {
        return share(i) *
               PairSeconds(CausalPairs(static_cast<int>(rank)), scale);
      };
      const auto window = [&](int64_t rank) { return Window(attend(rank)); };
      const int64_t beside = forward ? i + 1 : i - 1;
      if (0 <= beside && beside < count) {
        clocks_.Collective(SliceSeconds(share(beside), forward), window);
      } else {
        clocks_.Compute(window);
      }
      clocks_.Compute([&](int64_t rank) { return Rest(attend(rank)); });
    }
    if (!forward) {
      clocks_.Collective(SliceSeconds(share(count - 1), forward), 0);
    }
  }

  // Of its AllGather, or ReduceScatter.
  double SliceSeconds(double share, bool forward) const {
    const int64_t unit = shape_.element_bytes;
    const double bytes = share * rows_ *
                         static_cast<double>(KeyValueBytes(
                             forward ? unit : AccumulatorBytes(unit)));
    return AllGatherSeconds(network_, shape_.ranks, bytes);
  }

  // A ReduceScatter and an AllGather of one W-th each, or, between two ranks,
  // all of it at once.
  void SyncGradients() {
    if (shape_.ranks == 1) return;
    const double bytes =
        static_cast<double>(LayoutParameters(model_).total + kGradientTail) *
        wide();
    const double part = shape_.ranks == 2 ? bytes : bytes / shape_.ranks;
    const double seconds = AllGatherSeconds(network_, shape_.ranks, part);
    clocks_.Collective((shape_.ranks == 2 ? 1 : 2) * seconds, 0);
  }

  const ModelSpec& model_;
  const SimulationShape& shape_;
  const absl::Span<const TokenRange> parts_;
  const Network& network_;
  const double rate_;
  const ExchangeMethod method_;
  RankClocks clocks_;
  const double rows_;  // of the longest range
  const LinearAttentionFlops linear_;
  const StateExchangeShape state_;
  std::optional<KvRoute> route_;  // of softmax layers' ring, once it was asked
};

}  // namespace

StepTime TimeStep(const ModelSpec& model, const SimulationShape& shape,
                  absl::Span<const TokenRange> parts, const Network& network,
                  const ComputeModel& compute, ExchangeMethod method) {
  return Stepper(model, shape, parts, network, compute, method).Run();
}

}  // namespace longspan
