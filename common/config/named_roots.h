// The directories that jobs may name: "data", "models", "outputs", ... A job
// spec says file://data/books.txt; where "data" is on this machine is the
// daemon's configuration. See common/base/safe_path.h for what is refused.
//
// Immutable after it is filled; then safe to share between threads.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/safe_path.h"
#include "common/base/unique_fd.h"

namespace longspan {

class NamedRoots {
 public:
  NamedRoots() = default;

  // From "name=/absolute/directory" flags. Names are lower-case letters,
  // digits and '-'. A name given twice is an error.
  static absl::StatusOr<NamedRoots> Parse(
      const std::vector<std::string>& assignments);

  absl::Status Add(std::string_view name, std::string_view path);

  // The root that "file://<name>/..." names; other URIs are InvalidArgument,
  // unknown names are NotFound with the known ones.
  absl::StatusOr<NamedRoot> RootOf(std::string_view uri) const;

  // As in safe_path.h, with the root taken from the URI.
  absl::StatusOr<std::string> Resolve(std::string_view uri) const;
  absl::StatusOr<UniqueFd> Open(std::string_view uri, int flags,
                                unsigned mode = 0644) const;

  // Names, sorted.
  std::vector<std::string> names() const;

 private:
  std::map<std::string, std::string, std::less<>> paths_;
};

}  // namespace longspan
