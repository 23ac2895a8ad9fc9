// Where documents begin in a text, for packed training: several texts in one
// sequence that must not see each other.
//
// Documents are cut after each separator byte, which belongs to the document
// that it ends, or at given starts. Immutable; thread-safe.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/data/token_source.h"

namespace longspan::worker {

class DocumentIndex {
 public:
  static DocumentIndex FromSeparator(const TokenSource& source, char separator);

  // `starts` strictly increasing in [0, source.size()).
  static absl::StatusOr<DocumentIndex> FromStarts(const TokenSource& source,
                                                  std::vector<int64_t> starts);

  // Starts in the source, 0 not included unless it was given.
  const std::vector<int64_t>& starts() const { return starts_; }

  // Starts that fall on source tokens [begin, end), relative to begin: what
  // kernels::Documents wants.
  std::vector<int64_t> Within(int64_t begin, int64_t end) const;

  // Takes the target from each token of source tokens [begin, begin +
  // targets.size()) that is the last of its document: the next document's
  // first token is not its to predict.
  void DropTargetsAcross(int64_t begin, absl::Span<int32_t> targets) const;

 private:
  explicit DocumentIndex(std::vector<int64_t> starts)
      : starts_(std::move(starts)) {}

  std::vector<int64_t> starts_;
};

}  // namespace longspan::worker
