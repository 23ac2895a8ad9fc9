#include "worker/data/document_index.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace longspan::worker {

DocumentIndex DocumentIndex::FromSeparator(const TokenSource& source,
                                           char separator) {
  std::vector<int64_t> starts;
  const std::string_view text = source.text();
  for (size_t at = text.find(separator); at != std::string_view::npos;
       at = text.find(separator, at + 1)) {
    if (at + 1 < text.size()) starts.push_back(static_cast<int64_t>(at) + 1);
  }
  return DocumentIndex(std::move(starts));
}

absl::StatusOr<DocumentIndex> DocumentIndex::FromStarts(
    const TokenSource& source, std::vector<int64_t> starts) {
  int64_t previous = -1;
  for (int64_t start : starts) {
    if (start <= previous || start >= source.size()) {
      return absl::InvalidArgumentError(absl::StrCat(
          source.name(), ": document start ", start, " needs to be above ",
          previous, " and below the text's ", source.size(), " tokens"));
    }
    previous = start;
  }
  return DocumentIndex(std::move(starts));
}

std::vector<int64_t> DocumentIndex::Within(int64_t begin, int64_t end) const {
  std::vector<int64_t> local;
  for (auto start = std::lower_bound(starts_.begin(), starts_.end(), begin);
       start != starts_.end() && *start < end; ++start) {
    local.push_back(*start - begin);
  }
  return local;
}

void DocumentIndex::DropTargetsAcross(int64_t begin,
                                      absl::Span<int32_t> targets) const {
  const auto count = static_cast<int64_t>(targets.size());
  for (int64_t start : Within(begin + 1, begin + count + 1)) {
    targets[start] = TokenSource::kNoTarget;
  }
}

}  // namespace longspan::worker
