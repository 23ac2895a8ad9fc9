#include "common/model_spec/memory_plan.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "common/model_spec/buffer_list.h"
#include "common/model_spec/communication_plan.h"
#include "common/model_spec/head_exchange_plan.h"
#include "common/model_spec/head_slices.h"
#include "common/model_spec/left_ring_plan.h"
#include "common/model_spec/linear_layer_form.h"
#include "common/model_spec/model_state_spec.h"
#include "common/model_spec/parameter_layout.h"
#include "common/model_spec/precision.h"
#include "common/model_spec/projection_widths.h"
#include "common/model_spec/row_block.h"
#include "common/model_spec/row_exchange_plan.h"
#include "common/model_spec/softmax_layer_memory.h"
#include "kernels/cost/workspace.h"

namespace longspan {
namespace {

using kernels::LinearAttentionShape;
using kernels::LinearAttentionStage;

class Planner {
 public:
  // `block_tokens`: the longest run of rows that is worked on in blocks.
  Planner(const ModelSpec& spec, const RunShape& shape, int64_t block_tokens)
      : spec_(spec),
        shape_(shape),
        form_(FormOf(spec.linear)),
        widths_(LinearProjectionWidths(spec.linear)),
        unit_(shape.element_bytes),
        wide_(AccumulatorBytes(shape.element_bytes)),
        ranks_(RankCount(shape.layout, shape.ranges.size())),
        parts_(PartsOf(shape.layout, shape.ranges, shape.rank)),
        tokens_(TokensOf(shape.layout, shape.ranges, shape.rank)),
        rows_(shape.batch * tokens_),
        block_rows_(std::min(block_tokens,
                             RowBlockSize(spec.hidden_size, shape.backend))),
        piece_tokens_(shape.ranges.back().end),
        softmax_(spec, shape) {}

  MemoryPlan Plan() {
    MemoryPlan plan;
    PlanPersistent(plan);
    plan.step = Step();
    plan.head = Head();
    for (int64_t layer = 0; layer < spec_.layer_count; ++layer) {
      plan.layers.push_back(Layer(layer));
    }
    plan.arena_bytes =
        shape_.mode == RunMode::kTrain ? TrainPeak(plan) : ForwardPeak(plan);
    return plan;
  }

 private:
  bool train() const { return shape_.mode == RunMode::kTrain; }
  int64_t hidden() const { return spec_.hidden_size; }
  BufferList List() const { return BufferList(unit_); }

  void PlanPersistent(MemoryPlan& plan) const {
    const int64_t total = LayoutParameters(spec_).total;
    plan.parameter_bytes = total * wide_;
    if (unit_ < wide_) plan.parameter_bytes += total * unit_;  // compute copy
    if (train()) {
      plan.gradient_bytes = (total + kGradientTail) * wide_;
      plan.moment_bytes = 2 * total * wide_;
      plan.transport_bytes = ReductionScratch(total + kGradientTail);
    }
    for (int64_t layer = 0; layer < spec_.layer_count; ++layer) {
      AddSlices(LayerKindAt(spec_, layer), plan);
    }
    if (shape_.carries_state) {
      plan.state_bytes = StateBytes(spec_, CapacityOf(shape_), unit_);
    }
    const int64_t tokens = rows_ * static_cast<int64_t>(sizeof(int32_t));
    plan.input_bytes = RoundUpToBuffer(tokens);
    if (shape_.mode != RunMode::kGenerate) plan.input_bytes *= 2;
  }

  // This rank's part of a mixer's parameters, and of their gradients.
  void AddSlices(LayerKind kind, MemoryPlan& plan) const {
    if (!HeadsAreCut(shape_.method, shape_.softmax_method, kind, ranks_)) {
      return;
    }
    const int64_t own =
        LayoutParameters(
            OwnLayerSpec(spec_, kind,
                         CutLayer(spec_, kind, shape_.rank, ranks_)))
            .total;
    plan.parameter_bytes += own * (unit_ < wide_ ? unit_ + wide_ : wide_);
    if (train()) plan.gradient_bytes += (own + kGradientTail) * wide_;
  }

  // Received parts of the gradient AllReduce: all of the other ranks' buffers,
  // or their parts of the range that this rank adds.
  int64_t ReductionScratch(int64_t count) const {
    const int gang = shape_.replicas * ranks_;
    const int64_t sent = AllReduceBytes(
        count, wide_, shape_.replica * ranks_ + shape_.rank, gang);
    const bool whole = sent == (gang - 1) * count * wide_;
    return whole ? sent : (gang - 1) * (count / gang + 1) * wide_;
  }

  std::vector<Buffer> Step() const {
    BufferList list = List();
    list.AddBytes("positions", tokens_ * 8);
    const int64_t streams = train() ? spec_.layer_count + 1 : 2;
    for (int64_t i = 0; i < streams; ++i) list.Add("x", rows_ * hidden());
    if (train()) list.Add("hidden", rows_ * hidden());
    list.AddWide("rstd", rows_);
    if (train()) list.Add("d_hidden", rows_ * hidden());
    return list.Take();
  }

  std::vector<Buffer> Head() const {
    BufferList list = List();
    if (shape_.mode == RunMode::kGenerate) {
      list.AddWide("logits", shape_.batch * spec_.vocabulary_size);
      return list.Take();
    }
    if (shape_.mode == RunMode::kEvaluate) list.AddWide("nll", rows_);
    list.AddBytes("workspace", kernels::CrossEntropyWorkspaceBytes(
                                   rows_, hidden(), spec_.vocabulary_size,
                                   unit_, shape_.backend, shape_.threads));
    return list.Take();
  }

  LayerMemory Layer(int64_t layer) const {
    LayerMemory memory;
    const LayerKind kind = LayerKindAt(spec_, layer);
    const bool linear = kind == LayerKind::kLinear;
    if (HeadsAreCut(shape_.method, shape_.softmax_method, kind, ranks_)) {
      return CutLayerMemory(kind);
    }
    BufferList tape = BlockTape();
    AddMixerTape(linear, tape);
    memory.tape = FinishTape(std::move(tape));
    memory.mix = linear ? LinearMix() : softmax_.Mix();
    if (!train()) return memory;
    memory.gradients = linear ? LinearGradients() : softmax_.Gradients();
    memory.mlp_backward = MlpBackward();
    memory.output_backward =
        linear ? BlockRowsAnd(LinearOutputScratch()) : BlockRows();
    memory.mix_backward = linear ? LinearMixBackward() : softmax_.MixBackward();
    memory.project_backward =
        linear ? BlockRowsAnd(LinearProjectScratch()) : BlockRows();
    return memory;
  }

  // A layer of this rank's heads over all tokens, between a gather of its input
  // and a scatter of its output.
  LayerMemory CutLayerMemory(LayerKind kind) const {
    const bool linear = kind == LayerKind::kLinear;
    const ModelSpec own =
        OwnLayerSpec(spec_, kind, CutLayer(spec_, kind, shape_.rank, ranks_));
    RunShape alone = shape_;
    alone.ranges = {{0, piece_tokens_}};
    alone.rank = 0;
    const Planner inner(own, alone, LongestRange(shape_.ranges));
    LayerMemory memory;
    BufferList tape = BlockTape();
    inner.AddMixerTape(linear, tape);
    tape.Add("summed", rows_ * hidden());
    memory.tape = FinishTape(std::move(tape));
    memory.mix = linear ? inner.LinearMix() : inner.softmax_.Mix();
    Append(AllRows(1), memory.mix);
    if (!train()) return memory;
    memory.gradients =
        linear ? inner.LinearGradients() : inner.softmax_.Gradients();
    Append(List().Add("d_summed", rows_ * hidden()).Take(), memory.gradients);
    memory.mlp_backward = MlpBackward();
    memory.output_backward = memory.project_backward = BlockRows();
    memory.mix_backward = AllRows(2);
    memory.mix_backward_steps = {linear ? inner.LinearMixBackward()
                                        : inner.softmax_.MixBackward()};
    if (linear) {
      memory.mix_backward_steps.push_back(inner.LinearOutputScratch());
      memory.mix_backward_steps.push_back(inner.LinearProjectScratch());
    }
    return memory;
  }
  // Gathered rows and the positions of all tokens.
  std::vector<Buffer> AllRows(int count) const {
    BufferList list = List();
    list.AddBytes("all_positions", piece_tokens_ * 8);
    for (int i = 0; i < count; ++i) {
      list.Add("gathered", shape_.batch * piece_tokens_ * hidden());
    }
    return list.Take();
  }
  static void Append(std::vector<Buffer> more, std::vector<Buffer>& list) {
    list.insert(list.end(), more.begin(), more.end());
  }
  void AddMixerTape(bool linear, BufferList& list) const {
    if (linear) {
      AddLinearTape(list);
    } else {
      softmax_.AddTape(list);
    }
  }

  // Block buffers around those of the mixer.
  BufferList BlockTape() const {
    BufferList list = List();
    list.Add("mixer_input", rows_ * hidden()).AddWide("mixer_rstd", rows_);
    return list;
  }
  std::vector<Buffer> FinishTape(BufferList list) const {
    const int64_t inner = spec_.mlp.intermediate_size;
    list.Add("middle", rows_ * hidden())
        .Add("mlp_input", rows_ * hidden())
        .AddWide("mlp_rstd", rows_)
        .Add("gate_up", rows_ * 2 * inner)
        .Add("mlp_hidden", rows_ * inner);
    return list.Take();
  }
  // What a block of rows needs beside the mixer or the MLP.
  BufferList RowScratch() const {
    BufferList list = List();
    list.Add("d_input", block_rows_ * hidden())
        .AddBytes("norm_workspace", NormWorkspace(block_rows_, hidden()));
    return list;
  }
  std::vector<Buffer> BlockRows() const { return RowScratch().Take(); }
  std::vector<Buffer> MlpBackward() const {
    const int64_t inner = spec_.mlp.intermediate_size;
    return RowScratch()
        .Add("d_hidden", block_rows_ * inner)
        .Add("d_gate_up", block_rows_ * 2 * inner)
        .Take();
  }

  // Linear attention.
  int64_t part_count() const { return static_cast<int64_t>(parts_.size()); }
  // The largest of what a call for each part of this rank's tokens needs.
  template <typename BytesOf>
  int64_t LargestPart(const BytesOf& bytes_of) const {
    int64_t bytes = 0;
    for (int part : parts_) {
      bytes = std::max(bytes, bytes_of(shape_.ranges[part].size()));
    }
    return bytes;
  }
  bool convolves() const { return spec_.linear.short_convolution > 0; }
  int64_t HaloCount() const {
    return part_count() * shape_.batch * (spec_.linear.short_convolution - 1) *
           widths_.convolved;
  }
  int64_t HaloStagingCount() const {
    return part_count() * shape_.batch * widths_.convolved *
           HaloStagingTokens(spec_.linear.short_convolution, ranks_);
  }
  int64_t MemoryCount() const {
    return shape_.batch * spec_.linear.heads * form_.features * form_.columns;
  }
  bool expands_gate() const { return form_.gate_rank > 0; }
  int64_t DecayCount() const {
    return shape_.batch * RangeDecayCount(spec_.linear);
  }
  // Groups of a token that the output norm takes on their own.
  int64_t NormGroups() const {
    return widths_.value / OutputNormSize(spec_.linear);
  }
  // Whether the output gate is applied before or after the norm, not in it.
  bool gates_apart() const {
    return form_.output == OutputStage::kGatedThenNorm ||
           form_.output == OutputStage::kSigmoidGate;
  }
  bool has_halo() const {
    return convolves() && (ranks_ > 1 || shape_.carries_state);
  }

  int64_t ExchangeCount(bool forward) const {
    const StateExchangeShape state =
        StateShapeOf(spec_.linear, shape_.batch, shape_.state_gather);
    return StateExchangeScratch(shape_.method, state,
                                FilledParts(shape_.ranges), forward);
  }

  // Rows that no states are made of (left_ring_plan.h).
  bool left_ring() const {
    return ranks_ > 1 && shape_.method == SequenceParallel::kRingLeft;
  }
  LeftRingShape LeftRing() const {
    return LeftRingShapeOf(spec_.linear, shape_.batch, shape_.ranges, unit_);
  }
  int64_t ValueCount(int64_t tokens) const {
    return shape_.batch * tokens * spec_.linear.heads * form_.columns;
  }
  void AddLeftRing(BufferList& list, bool forward) const {
    const int64_t longest = LongestRange(shape_.ranges);
    list.AddBytes("parcels", LeftRingParcelBytes(LeftRing(), forward))
        .Add("decayed_v", ValueCount(longest))
        .Add("scores", kLeftRingQueries * longest);
  }

  // Heads that travel, over all tokens (head_exchange_plan.h).
  bool heads_travel() const { return ranks_ > 1 && HeadsTravel(shape_.method); }
  struct HeadNames {
    const char *q, *k, *v, *log_gate, *beta;
  };
  HeadCut OwnHeads() const {
    return CutHeads(spec_.linear.heads, spec_.linear.key_heads, shape_.rank,
                    ranks_);
  }
  int64_t HeadOutputCount() const {
    return shape_.batch * piece_tokens_ * OwnHeads().heads.size() *
           form_.columns;
  }
  void AddHeads(BufferList& list, const HeadNames& names) const {
    const HeadCut own = OwnHeads();
    const int64_t rows = shape_.batch * piece_tokens_;
    const int64_t keys = rows * own.key_heads.size() * form_.features;
    const int64_t gates = GateWidth(spec_.linear) / spec_.linear.heads;
    list.Add(names.q, keys)
        .Add(names.k, keys)
        .Add(names.v, HeadOutputCount())
        .AddWide(names.log_gate, rows * own.heads.size() * gates)
        .AddWide(names.beta, form_.delta ? rows * own.heads.size() : 0);
  }
  int64_t ParcelBytes() const {
    const HeadExchangeShape shape = {shape_.batch, shape_.ranges,
                                     spec_.linear.heads, spec_.linear.key_heads,
                                     unit_};
    return HeadScratchBytes(shape, HeadTrafficOf(form_), shape_.rank);
  }

  // Rows that make states (row_exchange_plan.h).
  bool rows_travel() const { return ranks_ > 1 && RowsTravel(shape_.method); }
  int64_t RowBytes(bool forward) const {
    if (!rows_travel()) return 0;
    return RowParcelBytes(
        shape_.ranges, shape_.batch,
        SummaryRows(form_, spec_.linear.heads, spec_.linear.key_heads, forward),
        unit_);
  }

  void AddLinearTape(BufferList& list) const {
    list.Add("packed", rows_ * widths_.stride());
    if (has_halo()) list.Add("halo", HaloCount());
    list.Add("convolved", rows_ * widths_.convolved)
        .Add("features", rows_ * widths_.features)
        .Add("values", rows_ * widths_.values);
    if (expands_gate()) list.Add("gate_logits", rows_ * widths_.log_gate);
    list.AddWide("log_gate", rows_ * widths_.log_gate)
        .AddWide("beta", rows_ * widths_.beta);
    if (heads_travel()) {
      AddHeads(list, HeadNames{"head_q", "head_k", "head_v", "head_log_gate",
                               "head_beta"});
    } else if (left_ring()) {
      if (LeftRing().gated()) list.Add("outer", ValueCount(tokens_));
    } else if (ranks_ > 1) {
      list.AddWide("entering", part_count() * MemoryCount());
      const int64_t known =
          KeepsAllDecays(shape_.method) ? FilledParts(shape_.ranges) : 1;
      list.AddWide("decays", known * DecayCount());
    }
    list.Add("sums", rows_ * widths_.sums).Add("o", rows_ * widths_.value);
    if (form_.output != OutputStage::kPlain) {
      list.AddWide("o_rstd", rows_ * NormGroups())
          .Add("normed", rows_ * widths_.value);
    }
    if (gates_apart()) list.Add("gated", rows_ * widths_.value);
    if (form_.output_gate_rank > 0) {
      list.Add("gate_values", rows_ * widths_.value);
    }
  }

  std::vector<Buffer> LinearMix() const {
    BufferList list = List();
    if (convolves()) list.Add("halo_staging", HaloStagingCount());
    if (shape_.carries_state) list.AddWide("leaving", MemoryCount());
    if (heads_travel()) {
      list.AddBytes("parcels", ParcelBytes()).Add("head_o", HeadOutputCount());
    } else if (left_ring()) {
      AddLeftRing(list, true);
      if (!LeftRing().gated()) list.Add("outer", ValueCount(tokens_));
    } else if (ranks_ > 1) {
      list.AddWide("exchange", ExchangeCount(true))
          .AddBytes("parcels", RowBytes(true));
    }
    int64_t workspace = AttentionWorkspace(LinearAttentionStage::kOutputs);
    if (ranks_ > 1 && !heads_travel() && !left_ring()) {
      workspace = std::max(workspace,
                           SummaryWorkspace(LinearAttentionStage::kSummarise));
    }
    return list.AddBytes("workspace", workspace).Take();
  }

  std::vector<Buffer> LinearGradients() const {
    BufferList list = List();
    list.Add("d_o", rows_ * widths_.value)
        .Add("d_packed", rows_ * widths_.stride());
    list.Add("d_convolved", rows_ * widths_.convolved)
        .Add("d_features", rows_ * widths_.features)
        .Add("d_values", rows_ * widths_.values)
        .Add("d_sums", rows_ * widths_.sums);
    return list.AddWide("d_log_gate", rows_ * widths_.log_gate)
        .AddWide("d_beta", rows_ * widths_.beta)
        .Take();
  }

  // Of one block of rows, beside the block's own.
  std::vector<Buffer> LinearProjectScratch() const {
    if (!expands_gate()) return {};
    return List().Add("d_gate_logits", block_rows_ * widths_.log_gate).Take();
  }
  std::vector<Buffer> LinearOutputScratch() const {
    if (form_.output == OutputStage::kPlain) return {};
    BufferList list = List();
    list.Add("d_normed", block_rows_ * widths_.value)
        .AddBytes("head_norm_workspace",
                  NormWorkspace(block_rows_ * NormGroups(),
                                OutputNormSize(spec_.linear)));
    if (gates_apart()) list.Add("d_gated", block_rows_ * widths_.value);
    if (form_.output_gate_rank > 0) {
      list.Add("d_gate_values", block_rows_ * widths_.value);
    }
    return list.Take();
  }
  std::vector<Buffer> BlockRowsAnd(std::vector<Buffer> more) const {
    std::vector<Buffer> list = BlockRows();
    Append(std::move(more), list);
    return list;
  }

  std::vector<Buffer> LinearMixBackward() const {
    BufferList list = List();
    list.AddBytes("workspace", LinearBackwardWorkspace());
    if (heads_travel()) {
      list.AddBytes("parcels", ParcelBytes())
          .Add("head_d_o", HeadOutputCount());
      AddHeads(list, HeadNames{"head_d_q", "head_d_k", "head_d_v",
                               "head_d_log_gate", "head_d_beta"});
    } else if (left_ring()) {
      AddLeftRing(list, false);
      list.Add("decayed_d_o", ValueCount(LongestRange(shape_.ranges)))
          .Add("outer_d_v", ValueCount(tokens_));
    } else if (ranks_ > 1) {
      list.AddWide("d_leaving", part_count() * MemoryCount());
      list.AddWide("exchange", ExchangeCount(false))
          .AddBytes("parcels", RowBytes(false));
    }
    if (convolves() && ranks_ > 1) {
      list.Add("d_halo", HaloCount()).Add("halo_staging", HaloStagingCount());
    }
    return list.Take();
  }

  int64_t LinearBackwardWorkspace() const {
    int64_t bytes = AttentionWorkspace(LinearAttentionStage::kGradients);
    if (ranks_ > 1 && !heads_travel() && !left_ring()) {
      bytes = std::max(
          bytes, SummaryWorkspace(LinearAttentionStage::kSummariseBackward));
    }
    if (rows_travel()) {
      bytes =
          std::max(bytes, SummaryWorkspace(LinearAttentionStage::kSummarise));
    }
    if (convolves()) {
      bytes = std::max(bytes, LargestPart([&](int64_t tokens) {
                         return kernels::ShortConvolutionBackwardWorkspaceBytes(
                             shape_.batch, tokens, widths_.convolved,
                             ConvolutionParameters(spec_.linear), unit_,
                             shape_.backend, shape_.threads);
                       }));
    }
    return std::max(bytes, MapBackwardWorkspace());
  }

  int64_t MapBackwardWorkspace() const {
    int64_t parameters = 0;
    for (const MapParameter& part :
         MapParameters(form_.feature_map, spec_.linear.key_dim)) {
      parameters += part.count();
    }
    return kernels::FeatureMapBackwardWorkspaceBytes(
        rows_ * spec_.linear.key_heads * (form_.shared_map ? 2 : 1), parameters,
        unit_, shape_.backend);
  }

  // A rank summarises its own range, or any whose rows come.
  int64_t SummaryWorkspace(LinearAttentionStage stage) const {
    return rows_travel()
               ? AttentionWorkspace(stage, LongestRange(shape_.ranges))
               : AttentionWorkspace(stage);
  }
  int64_t AttentionWorkspace(LinearAttentionStage stage) const {
    return LargestPart(
        [&](int64_t tokens) { return AttentionWorkspace(stage, tokens); });
  }
  int64_t AttentionWorkspace(LinearAttentionStage stage, int64_t tokens) const {
    LinearAttentionShape attention = {
        shape_.batch,  tokens, spec_.linear.heads, form_.features,
        form_.columns, unit_,  DecayKind(form_),   spec_.linear.key_heads};
    if (heads_travel()) {
      attention.tokens = piece_tokens_;
      attention.heads = OwnHeads().heads.size();
      attention.key_heads = OwnHeads().key_heads.size();
    }
    return kernels::LinearAttentionWorkspaceBytes(
        stage, attention, shape_.backend, shape_.threads);
  }

  int64_t NormWorkspace(int64_t rows, int64_t size) const {
    return kernels::RmsNormBackwardWorkspaceBytes(
        rows, size, unit_, shape_.backend, shape_.threads);
  }

  // Every tape stays; scratch comes and goes on top.
  static int64_t TrainPeak(const MemoryPlan& plan) {
    int64_t base = TotalBytes(plan.step);
    int64_t peak = base;
    for (const LayerMemory& layer : plan.layers) {
      base += TotalBytes(layer.tape);
      peak = std::max(peak, base + TotalBytes(layer.mix));
    }
    peak = std::max(peak, base + TotalBytes(plan.head));
    for (const LayerMemory& layer : plan.layers) {
      const int64_t scratch = std::max(
          {TotalBytes(layer.mlp_backward), TotalBytes(layer.output_backward),
           MixBackwardBytes(layer), TotalBytes(layer.project_backward)});
      peak = std::max(peak, base + TotalBytes(layer.gradients) + scratch);
    }
    return peak;
  }

  static int64_t MixBackwardBytes(const LayerMemory& layer) {
    int64_t step = 0;
    for (const std::vector<Buffer>& buffers : layer.mix_backward_steps) {
      step = std::max(step, TotalBytes(buffers));
    }
    return TotalBytes(layer.mix_backward) + step;
  }

  // One layer at a time.
  static int64_t ForwardPeak(const MemoryPlan& plan) {
    const int64_t base = TotalBytes(plan.step);
    int64_t peak = base + TotalBytes(plan.head);
    for (const LayerMemory& layer : plan.layers) {
      peak =
          std::max(peak, base + TotalBytes(layer.tape) + TotalBytes(layer.mix));
    }
    return peak;
  }

  const ModelSpec& spec_;
  const RunShape& shape_;
  const LinearLayerForm form_;
  const ProjectionWidths widths_;
  const int64_t unit_;  // bytes of an activation
  const int64_t wide_;  // bytes of a sum
  const int ranks_;
  const std::vector<int> parts_;  // of this rank, one or two
  const int64_t tokens_;          // of this rank, per batch element
  const int64_t rows_;
  const int64_t block_rows_;    // of one block of row-by-row work
  const int64_t piece_tokens_;  // of all ranks
  const SoftmaxLayerMemory softmax_;
};

}  // namespace

StateCapacity CapacityOf(const RunShape& shape) {
  const int64_t piece = shape.ranges.back().end;
  return {shape.batch, std::max(shape.context_tokens, piece), piece};
}

int64_t TotalBytes(const std::vector<Buffer>& buffers) {
  int64_t bytes = 0;
  for (const Buffer& buffer : buffers) bytes += buffer.bytes;
  return bytes;
}

MemoryPlan PlanMemory(const ModelSpec& spec, const RunShape& shape) {
  const int64_t tokens = TokensOf(shape.layout, shape.ranges, shape.rank);
  return Planner(spec, shape, shape.batch * tokens).Plan();
}

}  // namespace longspan
