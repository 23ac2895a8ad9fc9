#include "common/model_spec/head_slices.h"

#include <utility>

#include "common/model_spec/linear_layer_form.h"
#include "common/model_spec/linear_layer_names.h"
#include "common/model_spec/projection_widths.h"

namespace longspan {
namespace {

// Whose the rows of a parameter are, and how many each of them has; `kAll`:
// rows that heads share.
enum class Owner { kHead, kKeyHead, kAll };
struct Rows {
  Owner owner = Owner::kHead;
  int64_t each = 0;
};

HeadRange Times(HeadRange heads, int64_t each) {
  return {heads.begin * each, heads.end * each};
}

class Slicer {
 public:
  Slicer(int64_t heads, int64_t key_heads, const HeadCut& cut)
      : heads_(heads), key_heads_(key_heads), cut_(cut) {}

  // A parameter whose rows are those of `parts`, one after the other.
  void Add(const std::string& name, const std::vector<Rows>& parts) {
    ParameterSlice slice = {name, {}, {}};
    int64_t at = 0;
    for (const Rows& part : parts) {
      const HeadRange own = Own(part);
      slice.rows.push_back({at + own.begin, at + own.end});
      at += Count(part);
    }
    slices_.push_back(std::move(slice));
  }
  // Parameters with the rows of one part each.
  void AddEach(const std::vector<NamedRows>& names,
               const std::vector<Rows>& parts) {
    for (size_t i = 0; i < names.size(); ++i) Add(names[i].name, {parts[i]});
  }
  // All parts in one parameter, or in one each.
  void AddAll(const std::vector<NamedRows>& names,
              const std::vector<Rows>& parts) {
    if (names.empty()) return;
    if (names.size() == 1) return Add(names[0].name, parts);
    AddEach(names, parts);
  }
  // The output projection, [rows, so many columns of each head].
  void AddOutput(const std::string& name, int64_t rows, int64_t each) {
    slices_.push_back({name, {{0, rows}}, Times(cut_.heads, each)});
  }

  std::vector<ParameterSlice> Take() { return std::move(slices_); }

 private:
  HeadRange Own(const Rows& part) const {
    switch (part.owner) {
      case Owner::kHead:
        return Times(cut_.heads, part.each);
      case Owner::kKeyHead:
        return Times(cut_.key_heads, part.each);
      case Owner::kAll:
        break;
    }
    return {0, part.each};
  }
  int64_t Count(const Rows& part) const {
    switch (part.owner) {
      case Owner::kHead:
        return heads_ * part.each;
      case Owner::kKeyHead:
        return key_heads_ * part.each;
      case Owner::kAll:
        break;
    }
    return part.each;
  }

  const int64_t heads_;
  const int64_t key_heads_;
  const HeadCut cut_;
  std::vector<ParameterSlice> slices_;
};

// In the order of the rows of the input projection.
std::vector<Rows> ProjectedRows(const LinearAttentionSpec& linear,
                                const LinearLayerForm& form) {
  const Rows key = {Owner::kKeyHead, linear.key_dim};
  const Rows value = {Owner::kHead, linear.value_dim};
  const Rows each = {Owner::kHead, 1};
  if (form.state_space) return {value, value, key, key, each};
  std::vector<Rows> rows = {key, key, value};
  const ProjectionWidths widths = LinearProjectionWidths(linear);
  if (widths.gate > 0) {
    rows.push_back(form.output_gate_rank > 0
                       ? Rows{Owner::kAll, form.output_gate_rank}
                       : value);
  }
  if (widths.decay > 0) {
    rows.push_back(form.gate_rank > 0 ? Rows{Owner::kAll, form.gate_rank}
                                      : each);
  }
  if (widths.beta > 0) rows.push_back(each);
  return rows;
}

std::vector<Rows> ConvolvedRows(const LinearAttentionSpec& linear,
                                const LinearLayerForm& form) {
  const Rows key = {Owner::kKeyHead, linear.key_dim};
  const Rows value = {Owner::kHead, linear.value_dim};
  if (form.state_space) return {value, key, key};
  if (!form.convolves_values) return {key, key};
  return {key, key, value};
}

void AddGate(const LinearAttentionSpec& linear, const LinearLayerForm& form,
             Slicer& slicer) {
  const LinearLayerNames names = NamesOf(linear);
  const int64_t width = GateWidth(linear);
  if (width == 0 || form.gate == DecayGateKind::kForget) return;
  const Rows each = {Owner::kHead, width / linear.heads};
  if (form.gate_rank > 0) slicer.Add(names.gate_expansion, {each});
  if (form.gate == DecayGateKind::kSoftplus) {
    slicer.Add("A_log", {{Owner::kHead, 1}});
  }
  slicer.Add(names.gate_bias, {each});
}

void AddOutputStage(const LinearAttentionSpec& linear,
                    const LinearLayerForm& form, Slicer& slicer) {
  const LinearLayerNames names = NamesOf(linear);
  const Rows value = {Owner::kHead, linear.value_dim};
  if (form.state_space) slicer.Add("D", {{Owner::kHead, 1}});
  if (form.output_gate_rank > 0) {
    slicer.Add(names.output_gate_expansion + ".weight", {value});
    slicer.Add(names.output_gate_expansion + ".bias", {value});
  }
  if (form.output == OutputStage::kPlain) return;
  const bool shared = form.output == OutputStage::kHeadNorm ||
                      form.output == OutputStage::kSigmoidGate;
  slicer.Add(names.output_norm,
             {shared ? Rows{Owner::kAll, linear.value_dim} : value});
}

std::vector<ParameterSlice> SliceLinear(const ModelSpec& spec,
                                        const HeadCut& cut) {
  const LinearAttentionSpec& linear = spec.linear;
  const LinearLayerForm form = FormOf(linear);
  Slicer slicer(linear.heads, linear.key_heads, cut);
  slicer.AddAll(InputProjections(linear), ProjectedRows(linear, form));
  AddGate(linear, form, slicer);
  slicer.AddAll(Convolutions(linear), ConvolvedRows(linear, form));
  slicer.AddAll(ConvolutionBiases(linear), ConvolvedRows(linear, form));
  for (const std::string& prefix : MapPrefixes(form)) {
    for (const MapParameter& part :
         MapParameters(form.feature_map, linear.key_dim)) {
      slicer.Add(prefix + part.name, {{Owner::kAll, part.rows}});
    }
  }
  AddOutputStage(linear, form, slicer);
  slicer.AddOutput(NamesOf(linear).output, spec.hidden_size, linear.value_dim);
  return slicer.Take();
}

std::vector<ParameterSlice> SliceSoftmax(const ModelSpec& spec,
                                         const HeadCut& cut) {
  const SoftmaxAttentionSpec& softmax = spec.softmax;
  Slicer slicer(softmax.heads, softmax.key_heads, cut);
  slicer.Add("q_proj.weight", {{Owner::kHead, softmax.head_dim}});
  slicer.Add("k_proj.weight", {{Owner::kKeyHead, softmax.head_dim}});
  slicer.Add("v_proj.weight", {{Owner::kKeyHead, softmax.head_dim}});
  slicer.AddOutput("o_proj.weight", spec.hidden_size, softmax.head_dim);
  return slicer.Take();
}

}  // namespace

bool HeadsAreCut(SequenceParallel linear, SoftmaxParallel softmax,
                 LayerKind kind, int64_t ranks) {
  if (ranks == 1) return false;
  return kind == LayerKind::kLinear ? linear == SequenceParallel::kMegatronSp
                                    : softmax == SoftmaxParallel::kMegatronSp;
}

HeadCut CutLayer(const ModelSpec& spec, LayerKind kind, int rank, int ranks) {
  return kind == LayerKind::kLinear
             ? CutHeads(spec.linear.heads, spec.linear.key_heads, rank, ranks)
             : CutHeads(spec.softmax.heads, spec.softmax.key_heads, rank,
                        ranks);
}

ModelSpec OwnLayerSpec(const ModelSpec& spec, LayerKind kind,
                       const HeadCut& cut) {
  ModelSpec own = spec;
  own.vocabulary_size = 1;
  own.layer_count = 1;
  own.layer_pattern = kind == LayerKind::kLinear ? "L" : "N";
  own.softmax_layers.clear();
  own.mlp.intermediate_size = 1;
  own.tie_embeddings = true;
  if (kind == LayerKind::kLinear) {
    own.linear.heads = cut.heads.size();
    own.linear.key_heads = cut.key_heads.size();
  } else {
    own.softmax.heads = cut.heads.size();
    own.softmax.key_heads = cut.key_heads.size();
  }
  return own;
}

std::vector<ParameterSlice> SliceMixer(const ModelSpec& spec, LayerKind kind,
                                       const HeadCut& cut) {
  return kind == LayerKind::kLinear ? SliceLinear(spec, cut)
                                    : SliceSoftmax(spec, cut);
}

GatherMoves PlanInputGather(absl::Span<const TokenRange> ranges, int64_t batch,
                            int rank) {
  const int64_t own = batch * ranges[rank].size();
  return {static_cast<int64_t>(ranges.size() - 1) * own,
          batch * ranges.back().end - own};
}

GatherMoves PlanOutputScatter(absl::Span<const TokenRange> ranges,
                              int64_t batch, int rank) {
  const GatherMoves gather = PlanInputGather(ranges, batch, rank);
  return {gather.received, gather.sent};
}

}  // namespace longspan
