#include "common/model_spec/token_range.h"

#include "absl/strings/str_cat.h"

namespace longspan {

absl::StatusOr<std::vector<TokenRange>> SplitTokens(int64_t tokens, int parts) {
  if (parts < 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot split ", tokens, " tokens over ", parts, " ranks"));
  }
  if (tokens < parts) {
    return absl::InvalidArgumentError(absl::StrCat(
        tokens, " tokens cannot be split over ", parts,
        " ranks: every rank needs at least one token; use fewer ranks"));
  }
  const int64_t base = tokens / parts;
  const int64_t longer = tokens % parts;
  std::vector<TokenRange> ranges(parts);
  int64_t begin = 0;
  for (int i = 0; i < parts; ++i) {
    const int64_t end = begin + base + (i < longer ? 1 : 0);
    ranges[i] = {begin, end};
    begin = end;
  }
  return ranges;
}

absl::Status CheckTiling(absl::Span<const TokenRange> ranges, int64_t tokens) {
  int64_t expected = 0;
  for (size_t i = 0; i < ranges.size(); ++i) {
    if (ranges[i].begin != expected || ranges[i].end <= ranges[i].begin) {
      return absl::InvalidArgumentError(absl::StrCat(
          "token range ", i, " is [", ranges[i].begin, ", ", ranges[i].end,
          ") and should begin at ", expected, " and not be empty"));
    }
    expected = ranges[i].end;
  }
  if (expected != tokens) {
    return absl::InvalidArgumentError(absl::StrCat(
        "token ranges end at ", expected, " of ", tokens, " tokens"));
  }
  return absl::OkStatus();
}

}  // namespace longspan
