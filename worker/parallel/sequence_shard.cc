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

// Of the positions `starts`, those in the range, from its begin.
std::vector<int64_t> StartsIn(const TokenRange& range,
                              const std::vector<int64_t>& starts) {
  std::vector<int64_t> own;
  for (int64_t start : starts) {
    if (range.begin <= start && start < range.end) {
      own.push_back(start - range.begin);
    }
  }
  return own;
}

}  // namespace

absl::StatusOr<SequenceShard> SequenceShard::Create(
    SequencePiece piece, std::vector<TokenRange> ranges, int rank,
    TokenLayout layout) {
  const int ranks = RankCount(layout, static_cast<int64_t>(ranges.size()));
  if (rank < 0 || rank >= ranks) {
    return absl::InvalidArgumentError(absl::StrCat("rank ", rank, " of ", ranks,
                                                   ", who have ", ranges.size(),
                                                   " token ranges"));
  }
  if (piece.batch < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("batch is ", piece.batch, "; must be at least 1"));
  }
  RETURN_IF_ERROR(CheckParts(layout, ranges, piece.tokens));
  RETURN_IF_ERROR(CheckDocuments(piece));
  return SequenceShard(std::move(piece), std::move(ranges), rank, layout);
}

absl::StatusOr<SequenceShard> SequenceShard::Split(SequencePiece piece,
                                                   int ranks, int rank,
                                                   TokenLayout layout) {
  layout = LayoutOver(ranks, layout);
  ASSIGN_OR_RETURN(std::vector<TokenRange> ranges,
                   CutTokens(layout, piece.tokens, ranks));
  return Create(std::move(piece), std::move(ranges), rank, layout);
}

SequenceShard::SequenceShard(SequencePiece piece,
                             std::vector<TokenRange> ranges, int rank,
                             TokenLayout layout)
    : piece_(std::move(piece)),
      ranges_(std::move(ranges)),
      rank_(rank),
      layout_(layout) {
  for (const TokenRange& range : ranges_) {
    starts_.push_back(StartsIn(range, piece_.document_starts));
  }
  for (int index : PartsOf(layout_, ranges_, rank_)) {
    parts_.push_back({.index = index,
                      .range = ranges_[index],
                      .first_row = tokens_,
                      .starts = starts_[index]});
    tokens_ += ranges_[index].size();
  }
}

TokenRange SequenceShard::range() const {
  LONGSPAN_CHECK_EQ(parts_.size(), 1u);
  return parts_.front().range;
}

kernels::Documents SequenceShard::documents() const {
  LONGSPAN_CHECK_EQ(parts_.size(), 1u);
  return parts_.front().documents();
}

kernels::Documents SequenceShard::documents_in(int part) const {
  const std::vector<int64_t>& starts = starts_[part];
  return {starts.data(), static_cast<int64_t>(starts.size())};
}

int64_t SequenceShard::DocumentBegin(int64_t position) const {
  const std::vector<int64_t>& starts = piece_.document_starts;
  auto after = std::upper_bound(starts.begin(), starts.end(), position);
  return after == starts.begin() ? -1 : *std::prev(after);
}

void SequenceShard::FillPositions(kernels::TensorView positions) const {
  LONGSPAN_CHECK_EQ(positions.element_count(), tokens());
  int64_t* out = positions.data_as<int64_t>();
  for (const ShardPart& part : parts_) {
    const int64_t first = piece_.first_position + part.range.begin;
    for (int64_t i = 0; i < part.range.size(); ++i) *out++ = first + i;
  }
}

}  // namespace longspan::worker
