#include "worker/model/softmax_attention_layer.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "kernels/cost/workspace.h"
#include "worker/parallel/kv_exchange.h"

namespace longspan::worker {
namespace {

using kernels::AttentionMask;
using kernels::ConstTensorView;
using kernels::TensorView;
using Write = LinearWeight::Write;

LinearWeight Projection(const Parameters& parameters, int layer,
                        const char* first, const char* last) {
  const std::string prefix = absl::StrCat("model.layers.", layer, ".attn.");
  return LinearWeight(parameters.PackedValue(prefix + first, prefix + last),
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
        take("key_value", {shard.batch(), shard.piece().tokens, width_});
  }
  tape.o =
      take("o", {shard.batch(), shard.tokens(), spec_.heads, spec_.head_dim});
  tape.lse = take("lse", {shard.batch(), spec_.heads, shard.tokens()});
  return tape;
}

TensorView SoftmaxAttentionLayer::Keys(TensorView rows) const {
  return rows.Slice(2, 0, width_ / 2).SplitLast(spec_.key_heads);
}

TensorView SoftmaxAttentionLayer::Values(TensorView rows) const {
  return rows.Slice(2, width_ / 2, width_).SplitLast(spec_.key_heads);
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

absl::StatusOr<SoftmaxAttentionLayer::Rows> SoftmaxAttentionLayer::RowsOf(
    const RankContext& context, const LayerPass& pass, LayerState* state,
    const Tape& tape) const {
  const SequencePiece& piece = pass.shard->piece();
  Rows rows;
  rows.document_starts = piece.document_starts;
  if (state == nullptr) {
    rows.all = rows.piece = tape.key_value;
    return rows;
  }
  RETURN_IF_ERROR(MakeRoom(context, piece.tokens, *state));
  rows.cached = state->cached_rows;
  const TensorView buffer =
      state->key_value.Reshape({piece.batch, state->key_value.size(1), width_});
  rows.all = buffer.Slice(1, 0, rows.cached + piece.tokens);
  rows.piece = buffer.Slice(1, rows.cached, rows.cached + piece.tokens);
  for (int64_t& start : rows.document_starts) start += rows.cached;
  if (state->document_row > 0) {
    rows.document_starts.insert(rows.document_starts.begin(),
                                state->document_row);
  }
  return rows;
}

kernels::SoftmaxAttentionInputs SoftmaxAttentionLayer::Operands(
    const LayerPass& pass, const Rows& rows, const Tape& tape) const {
  kernels::SoftmaxAttentionInputs operands;
  operands.mask =
      spec_.window == 0 ? AttentionMask::kCausal : AttentionMask::kWindow;
  operands.window = spec_.window;
  operands.query_offset = rows.cached + pass.shard->range().begin;
  operands.scale = 1.0 / std::sqrt(static_cast<double>(spec_.head_dim));
  operands.q = tape.q;
  operands.k = Keys(rows.all);
  operands.v = Values(rows.all);
  operands.documents = {rows.document_starts.data(),
                        static_cast<int64_t>(rows.document_starts.size())};
  return operands;
}

// ---- Forward ---------------------------------------------------------------

absl::Status SoftmaxAttentionLayer::Forward(
    const RankContext& context, const LayerPass& pass, ConstTensorView input,
    LayerState* state, MixerTape& mixer_tape, TensorView residual) {
  const Tape& tape = std::get<Tape>(mixer_tape);
  const ArenaScope scratch(*context.arena);
  const TokenRange range = pass.shard->range();
  ASSIGN_OR_RETURN(const Rows rows, RowsOf(context, pass, state, tape));
  RETURN_IF_ERROR(ProjectAndRotate(
      context, pass, input, tape, rows.piece.Slice(1, range.begin, range.end)));
  if (context.ranks() > 1) {
    RETURN_IF_ERROR(KvExchange(context, layer_, *pass.shard, width_)
                        .Gather(rows.piece, AllocateStaging(context, pass)));
  }
  RETURN_IF_ERROR(context.backend->softmax_attention().Forward(
      Operands(pass, rows, tape), tape.o, tape.lse,
      AllocateWorkspace(context, pass, /*backward=*/false, rows.all.size(1)),
      *context.stream));
  if (state != nullptr) Advance(pass, *state);
  return project_out_.Forward(context, AsRows(tape.o, query_width_),
                              Write::kAdd, residual);
}

absl::Status SoftmaxAttentionLayer::ProjectAndRotate(const RankContext& context,
                                                     const LayerPass& pass,
                                                     ConstTensorView input,
                                                     const Tape& tape,
                                                     TensorView own) const {
  RETURN_IF_ERROR(project_query_.Forward(context, input, Write::kReplace,
                                         AsRows(tape.q, query_width_)));
  const int64_t tokens = pass.shard->tokens();
  for (int64_t b = 0; b < pass.shard->batch(); ++b) {
    RETURN_IF_ERROR(project_key_value_.Forward(
        context, input.Slice(0, b * tokens, (b + 1) * tokens), Write::kReplace,
        own.Select(0, b)));
  }
  return Rotate(context, pass, /*inverse=*/false, tape.q, own);
}

absl::Status SoftmaxAttentionLayer::Rotate(const RankContext& context,
                                           const LayerPass& pass, bool inverse,
                                           TensorView q, TensorView own) const {
  kernels::Elementwise& elementwise = context.backend->elementwise();
  RETURN_IF_ERROR(elementwise.Rotary(q, pass.positions, spec_.rotary_base,
                                     inverse, q, *context.stream));
  const TensorView k = Keys(own);
  return elementwise.Rotary(k, pass.positions, spec_.rotary_base, inverse, k,
                            *context.stream);
}

// ---- Backward --------------------------------------------------------------

absl::Status SoftmaxAttentionLayer::Backward(
    const RankContext& context, const LayerPass& pass, ConstTensorView input,
    ConstTensorView d_output, MixerTape& mixer_tape, TensorView d_input) {
  const Tape& tape = std::get<Tape>(mixer_tape);
  const SequenceShard& shard = *pass.shard;
  const ArenaScope scratch(*context.arena);
  const auto take = [&](const char* name,
                        std::initializer_list<int64_t> shape) {
    return context.arena->Allocate(name, context.dtype, shape);
  };
  const int64_t batch = shard.batch();
  const TensorView d_o =
      take("d_o", {batch, shard.tokens(), spec_.heads, spec_.head_dim});
  const TensorView d_q =
      take("d_q", {batch, shard.tokens(), spec_.heads, spec_.head_dim});
  const TensorView d_rows =
      take("d_key_value", {batch, shard.piece().tokens, width_});
  TensorView d_own = d_rows;
  if (context.ranks() > 1) {
    d_own = take("d_own", {batch, shard.tokens(), width_});
  }

  ASSIGN_OR_RETURN(const Rows rows, RowsOf(context, pass, nullptr, tape));
  RETURN_IF_ERROR(project_out_.Backward(context, AsRows(tape.o, query_width_),
                                        d_output, Write::kReplace,
                                        AsRows(d_o, query_width_)));
  RETURN_IF_ERROR(context.backend->softmax_attention().Backward(
      Operands(pass, rows, tape), {tape.o, tape.lse}, d_o,
      {d_q, Keys(d_rows), Values(d_rows)},
      AllocateWorkspace(context, pass, /*backward=*/true, rows.all.size(1)),
      *context.stream));
  if (context.ranks() > 1) {
    RETURN_IF_ERROR(
        KvExchange(context, layer_, shard, width_)
            .ScatterGradients(d_rows, d_own, AllocateStaging(context, pass)));
  }
  RETURN_IF_ERROR(Rotate(context, pass, /*inverse=*/true, d_q, d_own));
  RETURN_IF_ERROR(project_query_.Backward(
      context, input, AsRows(d_q, query_width_), Write::kReplace, d_input));
  return project_key_value_.Backward(context, input, AsRows(d_own, width_),
                                     Write::kAdd, d_input);
}

// ---- Sizes -----------------------------------------------------------------

TensorView SoftmaxAttentionLayer::AllocateStaging(const RankContext& context,
                                                  const LayerPass& pass) const {
  const int64_t count = KvExchange::StagingCount(*pass.shard, width_);
  if (count == 0) return TensorView();
  return context.arena->Allocate("kv_staging", context.dtype, {count});
}

TensorView SoftmaxAttentionLayer::AllocateWorkspace(const RankContext& context,
                                                    const LayerPass& pass,
                                                    bool backward,
                                                    int64_t key_tokens) const {
  return context.arena->AllocateWorkspace(
      "workspace",
      kernels::SoftmaxAttentionWorkspaceBytes(
          backward,
          {pass.shard->batch(), pass.shard->tokens(), key_tokens, spec_.heads,
           spec_.key_heads, spec_.head_dim, context.element_bytes()},
          context.backend_kind, context.threads));
}

}  // namespace longspan::worker
