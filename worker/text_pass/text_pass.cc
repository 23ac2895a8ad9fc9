#include "worker/text_pass/text_pass.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "worker/text_pass/piece_cutter.h"

namespace longspan::worker {
namespace {

using kernels::ConstTensorView;
using kernels::DType;
using kernels::TensorView;

}  // namespace

absl::StatusOr<std::unique_ptr<TextPass>> TextPass::Create(
    Model& model, const RankContext& context, const TokenSource& text,
    const TextPassOptions& options) {
  LONGSPAN_CHECK_GE(options.context_tokens, options.tokens);
  auto pass =
      std::unique_ptr<TextPass>(new TextPass(model, context, text, options));
  RETURN_IF_ERROR(pass->Allocate());
  return pass;
}

TextPass::TextPass(Model& model, const RankContext& context,
                   const TokenSource& text, const TextPassOptions& options)
    : model_(model),
      context_(context),
      text_(text),
      options_(options),
      pieces_(
          CutIntoPieces(options.tokens, options.piece_length, context.ranks())),
      alone_(options.tokens < context.ranks()),
      reports_(options.score && (!alone_ || context.rank() == 0)) {
  if (alone_) context_ = context_.Alone();
}

absl::Status TextPass::Allocate() {
  const int64_t longest =
      LongestPiece(options_.tokens, options_.piece_length, context_.ranks());
  const StateCapacity capacity = {
      .batch = 1,
      .context_tokens = std::max<int64_t>(options_.context_tokens, 1),
      .piece_tokens = std::max<int64_t>(longest, 1)};
  ASSIGN_OR_RETURN(state_,
                   ModelState::Create(context_, model_.spec(), capacity));
  kernels::DeviceMemory& memory = context_.backend->memory();
  ASSIGN_OR_RETURN(loss_, Tensor::Create(memory, DType::kF64, 1));
  ASSIGN_OR_RETURN(Arena arena, Arena::Create(memory, ArenaBytes()));
  arena_ = std::make_unique<Arena>(std::move(arena));
  context_.arena = arena_.get();
  return absl::OkStatus();
}

int64_t TextPass::PlannedArenaBytes(RunMode mode,
                                    std::vector<TokenRange> ranges,
                                    int rank) const {
  const RunShape shape = {.mode = mode,
                          .ranges = std::move(ranges),
                          .rank = rank,
                          .element_bytes = context_.element_bytes(),
                          .backend = context_.backend_kind,
                          .threads = context_.threads,
                          .method = context_.method,
                          .softmax_method = context_.softmax_method,
                          .state_gather = context_.state_gather,
                          .carries_state = true,
                          .context_tokens = options_.context_tokens};
  return PlanMemory(model_.spec(), shape).arena_bytes;
}

int64_t TextPass::ArenaBytes() const {
  // A single token, alone, with its logits.
  const int64_t solo = PlannedArenaBytes(RunMode::kGenerate, {{0, 1}}, 0);
  if (pieces_.empty()) return solo;
  const int64_t longest =
      LongestPiece(options_.tokens, options_.piece_length, context_.ranks());
  const RunMode mode = options_.score ? RunMode::kEvaluate : RunMode::kGenerate;
  const int64_t piece = PlannedArenaBytes(
      mode, SplitTokens(longest, context_.ranks()).value(), context_.rank());
  return std::max(solo, piece);
}

RankContext TextPass::solo_context() { return context_.Alone(); }

absl::StatusOr<PieceScores> TextPass::RunPiece() {
  LONGSPAN_CHECK(!done()) << "after the last piece";
  const TokenRange piece = pieces_[next_piece_++];
  ASSIGN_OR_RETURN(const SequenceShard shard,
                   SequenceShard::Split(
                       {.tokens = piece.size(), .first_position = piece.begin},
                       context_.ranks(), context_.rank()));
  const int64_t begin = piece.begin + shard.range().begin;
  ids_.resize(shard.tokens());
  targets_.resize(shard.tokens());
  RETURN_IF_ERROR(
      text_.Read(begin, absl::MakeSpan(ids_), absl::MakeSpan(targets_)));
  ASSIGN_OR_RETURN(const ConstTensorView ids,
                   Upload(TokenUse::kIds, ids_, ids_buffer_));
  const ArenaScope scope(*arena_);
  const ModelInput input = {.ids = ids, .shard = &shard};
  ASSIGN_OR_RETURN(const TensorView hidden,
                   model_.Forward(context_, input, state_.get()));
  PieceScores scores = {.first_position = begin + 1};
  if (!reports_) return scores;
  RETURN_IF_ERROR(Score(hidden));
  scores.nll = nll_;
  return scores;
}

absl::StatusOr<ConstTensorView> TextPass::Upload(
    TokenUse use, const std::vector<int32_t>& tokens, UploadBuffer& buffer) {
  return UploadTokens(context_, model_.spec().vocabulary_size, use,
                      ConstTensorView(tokens.data(), DType::kI32,
                                      {static_cast<int64_t>(tokens.size())}),
                      buffer);
}

absl::Status TextPass::Score(ConstTensorView hidden) {
  const int64_t rows = hidden.size(0);
  ASSIGN_OR_RETURN(const ConstTensorView targets,
                   Upload(TokenUse::kTargets, targets_, targets_buffer_));
  const TensorView nll =
      arena_->Allocate("nll", context_.accumulator(), {rows});
  RETURN_IF_ERROR(model_.head().Loss(
      context_, {.hidden = hidden, .targets = targets}, loss_.view(), nll));
  nll_.resize(rows);
  return context_.transfer().DownloadNumbers(nll, absl::MakeSpan(nll_));
}

}  // namespace longspan::worker
