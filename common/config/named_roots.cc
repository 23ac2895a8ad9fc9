#include "common/config/named_roots.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/edit_distance.h"
#include "common/base/status_macros.h"

namespace longspan {
namespace {

constexpr std::string_view kScheme = "file://";

bool IsName(std::string_view name) {
  return !name.empty() && name.size() <= 63 &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") ==
             std::string_view::npos;
}

}  // namespace

absl::StatusOr<NamedRoots> NamedRoots::Parse(
    const std::vector<std::string>& assignments) {
  NamedRoots roots;
  for (const std::string& assignment : assignments) {
    const size_t equals = assignment.find('=');
    if (equals == std::string::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat("root '", assignment,
                       "' is not name=/directory, such as data=/srv/data"));
    }
    const std::string_view view(assignment);
    RETURN_IF_ERROR(roots.Add(view.substr(0, equals), view.substr(equals + 1)));
  }
  return roots;
}

absl::Status NamedRoots::Add(std::string_view name, std::string_view path) {
  if (!IsName(name)) {
    return absl::InvalidArgumentError(
        absl::StrCat("root name '", std::string(name),
                     "' must have 1 to 63 lower-case letters, digits or '-'"));
  }
  if (path.empty() || path.front() != '/') {
    return absl::InvalidArgumentError(
        absl::StrCat("root '", std::string(name), "' has the directory '",
                     std::string(path), "'; it must be absolute"));
  }
  if (!paths_.emplace(name, path).second) {
    return absl::InvalidArgumentError(
        absl::StrCat("root '", std::string(name), "' is given twice"));
  }
  return absl::OkStatus();
}

absl::StatusOr<NamedRoot> NamedRoots::RootOf(std::string_view uri) const {
  if (uri.substr(0, kScheme.size()) != kScheme) {
    return absl::InvalidArgumentError(
        absl::StrCat("URI must begin with file:// and a root's name (",
                     absl::StrJoin(names(), ", "), ")"));
  }
  const std::string_view rest = uri.substr(kScheme.size());
  const std::string name(rest.substr(0, rest.find('/')));
  const auto it = paths_.find(name);
  if (it != paths_.end()) return NamedRoot{it->first, it->second};
  if (!IsName(name)) {
    return absl::InvalidArgumentError(
        absl::StrCat("URI names no root; write file://<root>/path with one "
                     "of the roots ",
                     absl::StrJoin(names(), ", ")));
  }
  const auto closest = ClosestName(name, names());
  return absl::NotFoundError(absl::StrCat(
      "root '", name, "' is not configured; the roots are ",
      absl::StrJoin(names(), ", "),
      closest ? absl::StrCat("; did you mean '", *closest, "'?") : ""));
}

absl::StatusOr<std::string> NamedRoots::Resolve(std::string_view uri) const {
  ASSIGN_OR_RETURN(const NamedRoot root, RootOf(uri));
  return ResolveBeneath(root, uri);
}

absl::StatusOr<UniqueFd> NamedRoots::Open(std::string_view uri, int flags,
                                          unsigned mode) const {
  ASSIGN_OR_RETURN(const NamedRoot root, RootOf(uri));
  return OpenBeneath(root, uri, flags, mode);
}

std::vector<std::string> NamedRoots::names() const {
  std::vector<std::string> names;
  for (const auto& [name, path] : paths_) names.push_back(name);
  return names;
}

}  // namespace longspan
