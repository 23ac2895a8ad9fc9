#include "coordinator/ops/page.h"

#include <algorithm>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/sha256.h"
#include "coordinator/ops/errors.h"

namespace longspan::coordinator {
namespace {

constexpr int kDefaultPage = 50;
constexpr int kLargestPage = 1000;

std::string Digest(const std::string& question) {
  return Sha256::Hex(question).substr(0, 16);
}

absl::Status BadToken() {
  return BadRequest("INVALID_PAGE_TOKEN",
                    {{"page_token",
                      "not a token of this list, or its arguments changed: "
                      "start again without one"}});
}

}  // namespace

absl::StatusOr<int> PageSize(int requested) {
  if (requested < 0) {
    return BadRequest("INVALID_PAGE_SIZE",
                      {{"page_size", absl::StrCat(requested, " is negative")}});
  }
  return requested == 0 ? kDefaultPage : std::min(requested, kLargestPage);
}

std::string EncodePage(const PageCursor& cursor, const std::string& question) {
  return absl::WebSafeBase64Escape(absl::StrCat(
      Digest(question), "|", cursor.revision, "|", cursor.position));
}

absl::StatusOr<PageCursor> DecodePage(const std::string& token,
                                      const std::string& question) {
  if (token.empty()) return PageCursor{};
  std::string text;
  if (!absl::WebSafeBase64Unescape(token, &text)) return BadToken();
  const std::vector<std::string> parts =
      absl::StrSplit(text, absl::MaxSplits('|', 2));
  PageCursor cursor;
  if (parts.size() != 3 || parts[0] != Digest(question) ||
      !absl::SimpleAtoi(parts[1], &cursor.revision)) {
    return BadToken();
  }
  cursor.position = parts[2];
  return cursor;
}

}  // namespace longspan::coordinator
