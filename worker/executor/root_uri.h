// URIs of job specs, "corpus://books/moby.txt.gz": a root's name and a path
// beneath it. Where the root lies on this node is the agent's configuration.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "common/base/unique_fd.h"

namespace longspan::worker {

using Roots = std::map<std::string, std::string>;  // name -> directory

// The absolute path; nothing need exist there. InvalidArgument for anything
// that is not beneath its root (common/base/safe_path.h), NotFound for a root
// that this node does not have, with those it has.
absl::StatusOr<std::string> ResolveRootUri(const Roots& roots,
                                           std::string_view uri);

// Opens an existing file for reading, without a moment between check and use.
absl::StatusOr<UniqueFd> OpenRootUri(const Roots& roots, std::string_view uri);

}  // namespace longspan::worker
