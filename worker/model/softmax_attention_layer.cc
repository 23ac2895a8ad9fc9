#include "worker/model/softmax_attention_layer.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/model_spec/parameter_layout.h"
#include "worker/parallel/softmax_by_heads.h"

namespace longspan::worker {
namespace {

using kernels::ConstTensorView;
using kernels::TensorView;
using Write = LinearWeight::Write;

LinearWeight Projection(const Parameters& parameters, int layer,
                        const char* first, const char* last) {
  const std::string prefix = LayerPrefix(layer) + "attn.";
  return LinearWeight(parameters.PackedCompute(prefix + first, prefix + last),
                      parameters.PackedGradient(prefix + first, prefix + last));
}

// [B, n, ...] contiguous as rows [M, width].
TensorView AsRows(TensorView x, int64_t width) {
  return x.Reshape({x.element_count() / width, width});
}

}  // namespace

SoftmaxAttentionLayer::SoftmaxAttentionLayer(const ModelSpec& spec, int layer,
                                             const Parameters& parameters)
    : spec_(spec.softmax),
      layer_(layer),
      query_width_(spec.softmax.heads * spec.softmax.head_dim),
      width_(2 * spec.softmax.key_heads * spec.softmax.head_dim),
      project_query_(
          Projection(parameters, layer, "q_proj.weight", "q_proj.weight")),
      project_key_value_(
          Projection(parameters, layer, "k_proj.weight", "v_proj.weight")),
      project_out_(
          Projection(parameters, layer, "o_proj.weight", "o_proj.weight")) {}

MixerTape SoftmaxAttentionLayer::AllocateTape(const RankContext& context,
                                              const LayerPass& pass) const {
  const SequenceShard& shard = *pass.shard;
  const auto take = [&](const char* name,
                        std::initializer_list<int64_t> shape) {
    return context.arena->Allocate(name, context.dtype, shape);
  };
  Tape tape;
  tape.q =
      take("q", {shard.batch(), shard.tokens(), spec_.heads, spec_.head_dim});
  if (!pass.carries_state) {
    tape.key_value =
        take("key_value", {shard.batch(), KeptTokens(context, pass), width_});
  }
  tape.o =
      take("o", {shard.batch(), shard.tokens(), spec_.heads, spec_.head_dim});
  if (HeadsTravel(context.softmax_method, context.ranks())) {
    if (!pass.carries_state) {
      tape.heads = SoftmaxByHeads::AllocateTape(context, shard, spec_);
    }
    return tape;
  }
  tape.lse =
      context.arena->Allocate("lse", context.accumulator(),
                              {shard.batch(), spec_.heads, shard.tokens()});
  return tape;
}

int64_t SoftmaxAttentionLayer::KeptTokens(const RankContext& context,
                                          const LayerPass& pass) {
  return GathersKeys(context.softmax_method, context.ranks())
             ? pass.shard->piece().tokens
             : pass.shard->tokens();
}

std::vector<KeySlice> SoftmaxAttentionLayer::SlicesOf(
    const RankContext& context, const LayerPass& pass) const {
  return CutKeyHeads(spec_.key_heads,
                     KeySliceCount(context.softmax_method, context.ranks(),
                                   spec_.key_heads, pass.carries_state));
}

// ---- Rows seen before ------------------------------------------------------

absl::Status SoftmaxAttentionLayer::MakeRoom(const RankContext& context,
                                             int64_t piece_tokens,
                                             LayerState& state) const {
  const int64_t rows = state.key_value.size(1);
  if (state.cached_rows + piece_tokens <= rows) return absl::OkStatus();
  const int64_t keep = spec_.window == 0
                           ? state.cached_rows
                           : std::min(state.cached_rows, spec_.window - 1);
  const int64_t drop = state.cached_rows - keep;
  if (keep + piece_tokens > rows || drop < keep) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "the state of layer ", layer_, " holds ", rows, " tokens; ",
        state.cached_rows, " are in use and ", piece_tokens,
        " more do not fit: create it for a longer context"));
  }
  RETURN_IF_ERROR(context.backend->elementwise().Copy(
      state.key_value.Slice(1, drop, state.cached_rows),
      state.key_value.Slice(1, 0, keep), *context.stream));
  state.cached_rows = keep;
  state.document_row = std::max<int64_t>(0, state.document_row - drop);
  return absl::OkStatus();
}

void SoftmaxAttentionLayer::Advance(const LayerPass& pass, LayerState& state) {
  const auto& starts = pass.shard->piece().document_starts;
  if (!starts.empty()) state.document_row = state.cached_rows + starts.back();
  state.cached_rows += pass.shard->piece().tokens;
}

TensorView SoftmaxAttentionLayer::StateRows(const LayerState& state) const {
  return state.key_value.Reshape(
      {state.key_value.size(0), state.key_value.size(1), width_});
}

SoftmaxExchangeTensors SoftmaxAttentionLayer::TensorsOf(
    const RankContext& context, const LayerPass& pass, const LayerState* state,
    const Tape& tape) const {
  SoftmaxExchangeTensors tensors = {
      .q = tape.q,
      .rows = tape.key_value,
      .cached_rows = tape.cached_rows,
      .slices = static_cast<int64_t>(SlicesOf(context, pass).size()),
      .o = tape.o,
      .lse = tape.lse,
      .heads = tape.heads};
  if (state != nullptr) {
    tensors.rows = StateRows(*state).Slice(
        1, 0, tape.cached_rows + tape.key_value.size(1));
    tensors.document_row = state->document_row;
  }
  return tensors;
}

// ---- Forward ---------------------------------------------------------------

absl::Status SoftmaxAttentionLayer::Prepare(const RankContext& context,
                                            const LayerPass& pass,
                                            LayerState* state,
                                            MixerTape& mixer_tape) {
  if (state == nullptr) return absl::OkStatus();
  Tape& tape = std::get<Tape>(mixer_tape);
  const int64_t piece_tokens = pass.shard->piece().tokens;
  RETURN_IF_ERROR(MakeRoom(context, piece_tokens, *state));
  tape.cached_rows = state->cached_rows;
  tape.key_value = StateRows(*state).Slice(1, tape.cached_rows,
                                           tape.cached_rows + piece_tokens);
  return absl::OkStatus();
}

absl::Status SoftmaxAttentionLayer::Project(const RankContext& context,
                                            const LayerPass& pass,
                                            RowRange rows,
                                            ConstTensorView input,
                                            MixerTape& mixer_tape) {
  const Tape& tape = std::get<Tape>(mixer_tape);
  RETURN_IF_ERROR(project_query_.Forward(
      context, input, Write::kReplace, rows.Of(AsRows(tape.q, query_width_))));
  // Keys and values go straight to their places in the piece, which lie apart
  // for different batch elements and slices.
  const std::vector<KeySlice> slices = SlicesOf(context, pass);
  const SequenceShard& shard = *pass.shard;
  for (int64_t b = rows.begin / shard.tokens(); b < shard.batch(); ++b) {
    for (const ShardPart& part : shard.parts()) {
      const KeptRun run = RunOf(context, part);
      const int64_t run_begin = b * shard.tokens() + run.rows.begin;
      const int64_t begin = std::max(rows.begin, run_begin);
      const int64_t end = std::min(rows.end, run_begin + run.rows.size());
      if (begin >= end) continue;
      const int64_t place = run.kept + begin - run_begin;
      for (const KeySlice& slice : slices) {
        RETURN_IF_ERROR(
            ProjectSlice(context, slice,
                         input.Slice(0, begin - rows.begin, end - rows.begin),
                         SliceRows(tape.key_value, slice, spec_.head_dim)
                             .Select(0, b)
                             .Slice(0, place, place + end - begin)));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status SoftmaxAttentionLayer::ProjectSlice(const RankContext& context,
                                                 const KeySlice& slice,
                                                 ConstTensorView input,
                                                 TensorView rows) const {
  if (slice.heads() == spec_.key_heads) {
    return project_key_value_.Forward(context, input, Write::kReplace, rows);
  }
  const int64_t values = width_ / 2;
  const int64_t begin = slice.begin * spec_.head_dim;
  const int64_t end = slice.end * spec_.head_dim;
  RETURN_IF_ERROR(project_key_value_.Outputs(begin, end)
                      .Forward(context, input, Write::kReplace,
                               rows.Slice(1, 0, end - begin)));
  return project_key_value_.Outputs(values + begin, values + end)
      .Forward(context, input, Write::kReplace,
               rows.Slice(1, end - begin, rows.size(1)));
}

absl::Status SoftmaxAttentionLayer::Mix(const RankContext& context,
                                        const LayerPass& pass, ConstTensorView,
                                        LayerState* state,
                                        MixerTape& mixer_tape) {
  const Tape& tape = std::get<Tape>(mixer_tape);
  const ArenaScope scratch(*context.arena);
  RETURN_IF_ERROR(RotateQueries(context, pass, /*inverse=*/false, tape.q));
  for (const ShardPart& part : pass.shard->parts()) {
    const KeptRun run = RunOf(context, part);
    for (const KeySlice& slice : SlicesOf(context, pass)) {
      RETURN_IF_ERROR(
          RotateKeys(context, run.rows.Of(pass.positions), /*inverse=*/false,
                     SliceRows(tape.key_value, slice, spec_.head_dim)
                         .Slice(1, run.kept, run.kept + run.rows.size())));
    }
  }
  const auto exchange =
      CreateSoftmaxExchange(context, layer_, *pass.shard, spec_);
  RETURN_IF_ERROR(exchange->Forward(TensorsOf(context, pass, state, tape)));
  if (state != nullptr) Advance(pass, *state);
  return absl::OkStatus();
}

absl::Status SoftmaxAttentionLayer::RotateQueries(const RankContext& context,
                                                  const LayerPass& pass,
                                                  bool inverse,
                                                  TensorView q) const {
  return context.backend->elementwise().Rotary(
      q, pass.positions, spec_.rotary_base, inverse, q, *context.stream);
}

absl::Status SoftmaxAttentionLayer::RotateKeys(const RankContext& context,
                                               ConstTensorView positions,
                                               bool inverse,
                                               TensorView rows) const {
  const int64_t half = rows.size(2) / 2;
  const TensorView k = rows.Slice(2, 0, half).SplitLast(half / spec_.head_dim);
  return context.backend->elementwise().Rotary(k, positions, spec_.rotary_base,
                                               inverse, k, *context.stream);
}

absl::Status SoftmaxAttentionLayer::Output(const RankContext& context,
                                           RowRange rows, MixerTape& mixer_tape,
                                           TensorView residual) {
  const Tape& tape = std::get<Tape>(mixer_tape);
  return project_out_.Forward(context, rows.Of(AsRows(tape.o, query_width_)),
                              Write::kAdd, residual);
}

// ---- Backward --------------------------------------------------------------

MixerGradients SoftmaxAttentionLayer::AllocateGradients(
    const RankContext& context, const LayerPass& pass) const {
  const SequenceShard& shard = *pass.shard;
  const auto take = [&](const char* name,
                        std::initializer_list<int64_t> shape) {
    return context.arena->Allocate(name, context.dtype, shape);
  };
  Gradients d;
  d.d_o =
      take("d_o", {shard.batch(), shard.tokens(), spec_.heads, spec_.head_dim});
  d.d_q =
      take("d_q", {shard.batch(), shard.tokens(), spec_.heads, spec_.head_dim});
  d.d_own = take("d_own", {shard.batch(), shard.tokens(), width_});
  return d;
}

absl::Status SoftmaxAttentionLayer::OutputBackward(
    const RankContext& context, RowRange rows, ConstTensorView d_output,
    MixerTape& mixer_tape, MixerGradients& mixer_gradients) {
  const Tape& tape = std::get<Tape>(mixer_tape);
  const Gradients& d = std::get<Gradients>(mixer_gradients);
  return project_out_.Backward(context, rows.Of(AsRows(tape.o, query_width_)),
                               d_output, Write::kReplace,
                               rows.Of(AsRows(d.d_o, query_width_)));
}

absl::Status SoftmaxAttentionLayer::MixBackward(
    const RankContext& context, const LayerPass& pass, ConstTensorView,
    ConstTensorView, MixerTape& mixer_tape, MixerGradients& mixer_gradients) {
  const Tape& tape = std::get<Tape>(mixer_tape);
  const Gradients& d = std::get<Gradients>(mixer_gradients);
  const ArenaScope scratch(*context.arena);
  const auto exchange =
      CreateSoftmaxExchange(context, layer_, *pass.shard, spec_);
  RETURN_IF_ERROR(exchange->Backward(TensorsOf(context, pass, nullptr, tape),
                                     d.d_o, {d.d_q, d.d_own}));
  RETURN_IF_ERROR(RotateQueries(context, pass, /*inverse=*/true, d.d_q));
  return RotateKeys(context, pass.positions, /*inverse=*/true, d.d_own);
}

absl::Status SoftmaxAttentionLayer::ProjectBackward(
    const RankContext& context, RowRange rows, ConstTensorView input,
    MixerTape&, MixerGradients& mixer_gradients, TensorView d_input) {
  const Gradients& d = std::get<Gradients>(mixer_gradients);
  RETURN_IF_ERROR(project_query_.Backward(context, input,
                                          rows.Of(AsRows(d.d_q, query_width_)),
                                          Write::kReplace, d_input));
  return project_key_value_.Backward(
      context, input, rows.Of(AsRows(d.d_own, width_)), Write::kAdd, d_input);
}

}  // namespace longspan::worker
