#include "common/model_spec/token_layout.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace longspan {

std::string_view TokenLayoutName(TokenLayout layout) {
  switch (layout) {
    case TokenLayout::kContiguous:
      return "contiguous";
    case TokenLayout::kZigzag:
      return "zigzag";
  }
  return "unknown";
}

int FilledParts(absl::Span<const TokenRange> parts) {
  size_t filled = parts.size();
  while (filled > 0 && parts[filled - 1].size() == 0) --filled;
  return static_cast<int>(filled);
}

std::vector<int> PartsOf(TokenLayout layout, absl::Span<const TokenRange> parts,
                         int rank) {
  std::vector<int> own = {rank};
  if (layout == TokenLayout::kContiguous) return own;
  const int other = PartAt(1, rank, RankCount(layout, parts.size()));
  if (parts[other].size() > 0) own.push_back(other);
  return own;
}

int64_t TokensOf(TokenLayout layout, absl::Span<const TokenRange> parts,
                 int rank) {
  int64_t tokens = 0;
  for (int part : PartsOf(layout, parts, rank)) tokens += parts[part].size();
  return tokens;
}

absl::StatusOr<std::vector<TokenRange>> CutTokens(TokenLayout layout,
                                                  int64_t tokens, int ranks) {
  const int parts = layout == TokenLayout::kZigzag ? 2 * ranks : ranks;
  if (ranks < 1 || tokens < ranks || parts <= tokens) {
    return SplitTokens(tokens, ranks < 1 || tokens < ranks ? ranks : parts);
  }
  ASSIGN_OR_RETURN(std::vector<TokenRange> ranges,
                   SplitTokens(tokens, static_cast<int>(tokens)));
  ranges.resize(parts, {tokens, tokens});
  return ranges;
}

absl::Status CheckParts(TokenLayout layout, absl::Span<const TokenRange> parts,
                        int64_t tokens) {
  const int filled = FilledParts(parts);
  const int ranks = RankCount(layout, static_cast<int64_t>(parts.size()));
  if (layout == TokenLayout::kZigzag && parts.size() % 2 != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        parts.size(), " parts of a sequence; zigzag has two for every rank"));
  }
  if (filled < ranks) {
    return absl::InvalidArgumentError(
        absl::StrCat(filled, " token ranges of ", parts.size(),
                     " are not empty; each of ", ranks, " ranks needs one"));
  }
  for (size_t i = filled; i < parts.size(); ++i) {
    if (parts[i].begin != tokens) {
      return absl::InvalidArgumentError(
          absl::StrCat("token range ", i, " is empty at ", parts[i].begin,
                       "; empty ranges lie at the end, ", tokens));
    }
  }
  return CheckTiling(parts.subspan(0, filled), tokens);
}

}  // namespace longspan
