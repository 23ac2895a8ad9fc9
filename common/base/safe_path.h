// Paths from job specs stay beneath configured roots.
//
// A path is given as
//   books/moby.txt               relative to the root,
//   file://data/books/moby.txt   the same, naming the root ("data"),
//   file:///srv/data/books/...   absolute, if it lies beneath the root.
// Refused: "..", backslashes, NUL and control characters, any '%' (so that
// encoded dots never arise), more than 2048 characters, and symbolic links
// that lead out of the root (openat2 with RESOLVE_BENEATH; where the kernel
// lacks it, every symbolic link). Errors name the root, never another path.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/unique_fd.h"

namespace longspan {

struct NamedRoot {
  std::string name;  // what users see, e.g. "data"
  std::string path;  // absolute directory on this machine
};

// The part below the root, normalised: no leading, double or final slash and
// no "." component; "" is the root itself. Looks at the text only.
absl::StatusOr<std::string> RelativeBeneath(const NamedRoot& root,
                                            std::string_view uri);

// The absolute path; also checks the links on the existing part of it. The
// last components need not exist yet.
absl::StatusOr<std::string> ResolveBeneath(const NamedRoot& root,
                                           std::string_view uri);

// Opens without a moment between check and use. `flags` as for open(2);
// O_CLOEXEC is added. NotFound, PermissionDenied and AlreadyExists are
// reported as such.
absl::StatusOr<UniqueFd> OpenBeneath(const NamedRoot& root,
                                     std::string_view uri, int flags,
                                     unsigned mode = 0644);

}  // namespace longspan
