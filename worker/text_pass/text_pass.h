// The forward pass of a gang over a text of any length: piece by piece from
// left to right, the state carried, the tokens of each piece shared out over
// the ranks. Evaluation scores a text this way and generation reads its prompt.
//
//   ASSIGN_OR_RETURN(auto pass, TextPass::Create(...));
//   while (!pass->done()) {
//     ASSIGN_OR_RETURN(PieceScores scores, pass->RunPiece());
//   }
//
// The result does not depend on the piece length or the ranks, up to rounding.
// A text that has fewer tokens than the gang has ranks is run by every rank
// alone; all have the same state, and rank 0 the scores.
//
// Allocates everything at creation: state, inputs and the step arena. Not
// thread-safe; every rank makes the same calls.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/model_spec/memory_plan.h"
#include "common/model_spec/token_range.h"
#include "worker/data/token_source.h"
#include "worker/model/model.h"
#include "worker/model/token_upload.h"
#include "worker/parallel/rank_context.h"
#include "worker/tensor/arena.h"
#include "worker/tensor/tensor.h"
#include "worker/tensor/upload_buffer.h"

namespace longspan::worker {

struct TextPassOptions {
  int64_t tokens = 0;  // input tokens, from the beginning of the text
  int64_t piece_length = 8192;
  // Score the token that follows each input token, where the text has one.
  bool score = false;
  // Longest text that the state must hold, later tokens included; at least
  // `tokens`.
  int64_t context_tokens = 0;
};

// This rank's share of a piece. Valid until the next piece.
struct PieceScores {
  int64_t first_position = 0;  // of the first scored token
  absl::Span<const double>
      nll;  // natural log, token by token; empty: not scored
};

class TextPass {
 public:
  // `model` and `text` must outlive the pass; `context.arena` is ignored.
  static absl::StatusOr<std::unique_ptr<TextPass>> Create(
      Model& model, const RankContext& context, const TokenSource& text,
      const TextPassOptions& options);

  bool done() const { return next_piece_ == pieces_.size(); }
  // Tokens processed so far, by all ranks.
  int64_t tokens_done() const { return state_->position(); }

  absl::StatusOr<PieceScores> RunPiece();

  // The state after the pieces so far, the same on every rank.
  ModelState& state() { return *state_; }
  // This rank's context for single tokens after the text: no group, and an
  // arena that fits.
  RankContext solo_context();

 private:
  TextPass(Model& model, const RankContext& context, const TokenSource& text,
           const TextPassOptions& options);

  absl::Status Allocate();
  int64_t ArenaBytes() const;
  int64_t PlannedArenaBytes(RunMode mode, std::vector<TokenRange> ranges,
                            int rank) const;
  absl::StatusOr<kernels::ConstTensorView> Upload(
      TokenUse use, const std::vector<int32_t>& tokens, UploadBuffer& buffer);
  absl::Status Score(kernels::ConstTensorView hidden);

  // Immutable after construction.
  Model& model_;
  RankContext context_;
  const TokenSource& text_;
  const TextPassOptions options_;
  std::vector<TokenRange> pieces_;
  const bool alone_;    // the text is shorter than the gang
  const bool reports_;  // whether this rank returns scores

  std::unique_ptr<Arena> arena_;
  std::unique_ptr<ModelState> state_;
  std::vector<int32_t> ids_;  // of this rank, of a piece
  std::vector<int32_t> targets_;
  std::vector<double> nll_;
  UploadBuffer ids_buffer_;
  UploadBuffer targets_buffer_;
  Tensor loss_;  // [1] f64
  size_t next_piece_ = 0;
};

}  // namespace longspan::worker
