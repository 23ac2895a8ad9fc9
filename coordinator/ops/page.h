// Paging of lists.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace longspan::coordinator {

// 0 is the default of 50; above 1000 is 1000; below 0 is InvalidArgument.
absl::StatusOr<int> PageSize(int requested);

// Where the next page begins, and what the first page was asked: a token is
// refused when the question changed. Opaque and URL-safe; grants nothing.
struct PageCursor {
  std::string position;  // of the last item shown
  int64_t revision = 0;  // of the first page
};

std::string EncodePage(const PageCursor& cursor, const std::string& question);
absl::StatusOr<PageCursor> DecodePage(const std::string& token,
                                      const std::string& question);

}  // namespace longspan::coordinator
