// One rank's share of a piece of text: its token range, and what it must know
// of everybody else's.
//
// A piece is what one forward pass sees: a whole training sequence, or the
// next stretch of a long text whose state is carried. Every rank describes the
// same piece; local positions count from the start of the rank's range.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/model_spec/token_range.h"
#include "kernels/api/documents.h"
#include "kernels/api/tensor_view.h"

namespace longspan::worker {

struct SequencePiece {
  int64_t batch = 1;
  int64_t tokens = 0;          // per batch element, all ranks together
  int64_t first_position = 0;  // of token 0 in the text
  // Strictly increasing positions in [0, tokens) at which a document begins;
  // only with batch 1. Empty: the piece continues what came before.
  std::vector<int64_t> document_starts;
};

// Immutable after construction.
class SequenceShard {
 public:
  // Checks that `ranges` tile the piece: kInvalidArgument otherwise, with the
  // sizes. The rank's token ids are then tokens ranges[rank] of each batch
  // element, batch-major.
  static absl::StatusOr<SequenceShard> Create(SequencePiece piece,
                                              std::vector<TokenRange> ranges,
                                              int rank);
  // The usual ranges: SplitTokens(piece.tokens, ranks).
  static absl::StatusOr<SequenceShard> Split(SequencePiece piece, int ranks,
                                             int rank);

  // The same piece on a rank that has all of it.
  SequenceShard Whole() const {
    return SequenceShard(piece_, {{0, piece_.tokens}}, 0);
  }

  const SequencePiece& piece() const { return piece_; }
  absl::Span<const TokenRange> ranges() const { return ranges_; }
  int rank() const { return rank_; }
  int ranks() const { return static_cast<int>(ranges_.size()); }
  TokenRange range() const { return ranges_[rank_]; }
  int64_t batch() const { return piece_.batch; }
  int64_t tokens() const { return range().size(); }    // n, per element
  int64_t rows() const { return batch() * tokens(); }  // B * n

  // Starts within this rank's range, in local positions.
  kernels::Documents documents() const {
    return {local_starts_.data(), static_cast<int64_t>(local_starts_.size())};
  }
  // Whether a document begins in rank r's range: its summary then forgets
  // every incoming state.
  bool document_starts_in(int rank) const { return starts_in_[rank]; }
  // The first token of the document that contains token `position` of the
  // piece; a negative number when it began before the piece.
  int64_t DocumentBegin(int64_t position) const;

  // positions[i] = position in the text of local token i; positions [n] i64.
  void FillPositions(kernels::TensorView positions) const;

 private:
  SequenceShard(SequencePiece piece, std::vector<TokenRange> ranges, int rank);

  SequencePiece piece_;
  std::vector<TokenRange> ranges_;
  int rank_;
  std::vector<int64_t> local_starts_;
  std::vector<bool> starts_in_;
};

}  // namespace longspan::worker
