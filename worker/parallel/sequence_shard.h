// One rank's share of a piece of text: its tokens, and what it must know of
// everybody else's.
//
// A piece is what one forward pass sees: a whole training sequence, or the
// next stretch of a long text whose state is carried. Every rank describes the
// same piece. It is cut into parts, of which a rank has one, or two under the
// layout zigzag (common/model_spec/token_layout.h); a rank's rows are those of
// its first part, then those of its second.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/model_spec/token_layout.h"
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

// A run of consecutive tokens of one rank. Not empty.
struct ShardPart {
  int index = 0;  // among the parts of the piece
  TokenRange range;
  int64_t first_row = 0;  // of its tokens, within a batch element
  // Document starts within it, in tokens from its begin.
  std::vector<int64_t> starts;

  kernels::Documents documents() const {
    return {starts.data(), static_cast<int64_t>(starts.size())};
  }
  // The part of a view [B, n, ...] of the rank's rows.
  template <typename View>
  View Of(const View& rows) const {
    if (rows.is_null()) return rows;
    return rows.Slice(1, first_row, first_row + range.size());
  }
};

// Immutable after construction.
class SequenceShard {
 public:
  // Checks that `ranges`, the parts of all ranks, tile the piece:
  // kInvalidArgument otherwise, with the sizes. The rank's token ids are then
  // those of its parts in each batch element, batch-major.
  static absl::StatusOr<SequenceShard> Create(
      SequencePiece piece, std::vector<TokenRange> ranges, int rank,
      TokenLayout layout = TokenLayout::kContiguous);
  // The usual ranges: CutTokens(LayoutOver(ranks, layout), tokens, ranks).
  static absl::StatusOr<SequenceShard> Split(
      SequencePiece piece, int ranks, int rank,
      TokenLayout layout = TokenLayout::kContiguous);

  // The same piece on a rank that has all of it.
  SequenceShard Whole() const {
    return SequenceShard(piece_, {{0, piece_.tokens}}, 0,
                         TokenLayout::kContiguous);
  }

  const SequencePiece& piece() const { return piece_; }
  TokenLayout layout() const { return layout_; }
  // The parts of the piece, in its order; empty ones at the end.
  absl::Span<const TokenRange> ranges() const { return ranges_; }
  int filled_parts() const { return FilledParts(ranges_); }
  int rank() const { return rank_; }
  int ranks() const { return RankCount(layout_, ranges_.size()); }
  // This rank's, one or two.
  absl::Span<const ShardPart> parts() const { return parts_; }
  int part_count() const { return static_cast<int>(parts_.size()); }
  // The tokens of a rank that holds one part.
  TokenRange range() const;
  int64_t batch() const { return piece_.batch; }
  int64_t tokens() const { return tokens_; }           // n, per element
  int64_t rows() const { return batch() * tokens(); }  // B * n

  // Starts within the range of a rank that holds one part, in local positions;
  // with two parts each has its own.
  kernels::Documents documents() const;
  // Starts within part `part` of the piece, whoever holds it, in tokens from
  // its begin. With one, the part's summary forgets every incoming state.
  kernels::Documents documents_in(int part) const;
  bool document_starts_in(int part) const { return !starts_[part].empty(); }
  // The first token of the document that contains token `position` of the
  // piece; a negative number when it began before the piece.
  int64_t DocumentBegin(int64_t position) const;

  // positions[i] = position in the text of local token i; positions [n] i64.
  void FillPositions(kernels::TensorView positions) const;

 private:
  SequenceShard(SequencePiece piece, std::vector<TokenRange> ranges, int rank,
                TokenLayout layout);

  SequencePiece piece_;
  std::vector<TokenRange> ranges_;
  int rank_;
  TokenLayout layout_;
  std::vector<ShardPart> parts_;
  int64_t tokens_ = 0;
  std::vector<std::vector<int64_t>> starts_;  // of each part of the piece
};

}  // namespace longspan::worker
