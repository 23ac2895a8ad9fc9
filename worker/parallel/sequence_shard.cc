#include "worker/parallel/sequence_shard.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace longspan::worker {
namespace {

absl::Status CheckDocuments(const SequencePiece& piece) {
  const std::vector<int64_t>& starts = piece.document_starts;
  if (starts.empty()) return absl::OkStatus();
  if (piece.batch != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("packed documents need batch 1, not ", piece.batch));
  }
  int64_t previous = -1;
  for (int64_t start : starts) {
    if (start <= previous || start >= piece.tokens) {
      return absl::InvalidArgumentError(absl::StrCat(
          "document start ", start, " after ", previous, " in a piece of ",
          piece.tokens, " tokens: starts must increase and lie inside"));
    }
    previous = start;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SequenceShard> SequenceShard::Create(
    SequencePiece piece, std::vector<TokenRange> ranges, int rank) {
  if (rank < 0 || rank >= static_cast<int>(ranges.size())) {
    return absl::InvalidArgumentError(
        absl::StrCat("rank ", rank, " of ", ranges.size(), " token ranges"));
  }
  if (piece.batch < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("batch is ", piece.batch, "; must be at least 1"));
  }
  RETURN_IF_ERROR(CheckTiling(ranges, piece.tokens));
  RETURN_IF_ERROR(CheckDocuments(piece));
  return SequenceShard(std::move(piece), std::move(ranges), rank);
}

absl::StatusOr<SequenceShard> SequenceShard::Split(SequencePiece piece,
                                                   int ranks, int rank) {
  ASSIGN_OR_RETURN(std::vector<TokenRange> ranges,
                   SplitTokens(piece.tokens, ranks));
  return Create(std::move(piece), std::move(ranges), rank);
}

SequenceShard::SequenceShard(SequencePiece piece,
                             std::vector<TokenRange> ranges, int rank)
    : piece_(std::move(piece)),
      ranges_(std::move(ranges)),
      rank_(rank),
      starts_in_(ranges_.size(), false) {
  for (int64_t start : piece_.document_starts) {
    for (size_t r = 0; r < ranges_.size(); ++r) {
      if (start < ranges_[r].begin || start >= ranges_[r].end) continue;
      starts_in_[r] = true;
      if (static_cast<int>(r) == rank_) {
        local_starts_.push_back(start - ranges_[r].begin);
      }
    }
  }
}

int64_t SequenceShard::DocumentBegin(int64_t position) const {
  const std::vector<int64_t>& starts = piece_.document_starts;
  auto after = std::upper_bound(starts.begin(), starts.end(), position);
  return after == starts.begin() ? -1 : *std::prev(after);
}

void SequenceShard::FillPositions(kernels::TensorView positions) const {
  LONGSPAN_CHECK_EQ(positions.element_count(), tokens());
  int64_t* out = positions.data_as<int64_t>();
  const int64_t first = piece_.first_position + range().begin;
  for (int64_t i = 0; i < tokens(); ++i) out[i] = first + i;
}

}  // namespace longspan::worker
