#include "worker/executor/root_uri.h"

#include <fcntl.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/safe_path.h"
#include "common/base/status_macros.h"

namespace longspan::worker {
namespace {

std::string Names(const Roots& roots) {
  return absl::StrJoin(roots, ", ", [](std::string* out, const auto& root) {
    out->append(root.first);
  });
}

// A URI's root and the path beneath it.
struct SplitUri {
  NamedRoot root;
  std::string_view path;
};

absl::StatusOr<SplitUri> Split(const Roots& roots, std::string_view uri) {
  const size_t colon = uri.find("://");
  if (colon == std::string_view::npos || colon == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", std::string(uri), "' is not a root://path URI"));
  }
  const std::string name(uri.substr(0, colon));
  const auto root = roots.find(name);
  if (root == roots.end()) {
    return absl::NotFoundError(absl::StrCat("this worker has no root '", name,
                                            "' (of ", std::string(uri),
                                            "); it has: ", Names(roots)));
  }
  const std::string_view path = uri.substr(colon + 3);
  if (!path.empty() && path.front() == '/') {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", std::string(uri), "': the path must be relative to its root"));
  }
  return SplitUri{{.name = name, .path = root->second}, path};
}

}  // namespace

absl::StatusOr<std::string> ResolveRootUri(const Roots& roots,
                                           std::string_view uri) {
  ASSIGN_OR_RETURN(const SplitUri split, Split(roots, uri));
  return ResolveBeneath(split.root, split.path);
}

absl::StatusOr<UniqueFd> OpenRootUri(const Roots& roots, std::string_view uri) {
  ASSIGN_OR_RETURN(const SplitUri split, Split(roots, uri));
  return OpenBeneath(split.root, split.path, O_RDONLY);
}

}  // namespace longspan::worker
