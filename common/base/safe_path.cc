#include "common/base/safe_path.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"

namespace longspan {
namespace {

constexpr size_t kLongestPath = 2048;
constexpr std::string_view kScheme = "file://";

absl::Status Refuse(const NamedRoot& root, std::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(
      "path beneath root '", root.name, "' refused: ", std::string(why)));
}

absl::Status CheckCharacters(const NamedRoot& root, std::string_view uri) {
  if (uri.empty()) return Refuse(root, "it is empty");
  if (uri.size() > kLongestPath) {
    return Refuse(
        root, absl::StrCat("it has ", uri.size(), " characters; the limit is ",
                           kLongestPath));
  }
  for (const char c : uri) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      return Refuse(root, "it contains a control character");
    }
    if (c == '\\') return Refuse(root, "it contains a backslash; use '/'");
    if (c == '%') {
      return Refuse(root, "it contains '%'; write characters unencoded");
    }
  }
  return absl::OkStatus();
}

std::string WithoutFinalSlashes(std::string path) {
  while (!path.empty() && path.back() == '/') path.pop_back();
  return path;
}

// Removes scheme and root from the text; what is left is relative.
absl::StatusOr<std::string_view> StripRoot(const NamedRoot& root,
                                           std::string_view uri) {
  if (uri.substr(0, kScheme.size()) != kScheme) {
    if (uri.find("://") != std::string_view::npos) {
      return Refuse(root, "only file:// URIs and relative paths are read");
    }
    if (uri.front() == '/') {
      return Refuse(root,
                    "it is absolute; write it relative to the root, or as "
                    "file:// with the root's name");
    }
    return uri;
  }
  uri.remove_prefix(kScheme.size());
  const std::string prefix =
      uri.substr(0, 1) == "/" ? WithoutFinalSlashes(root.path) : root.name;
  const bool beneath =
      uri.substr(0, prefix.size()) == prefix &&
      (uri.size() == prefix.size() || uri[prefix.size()] == '/');
  if (!beneath) return Refuse(root, "the URI lies outside the root");
  return uri.substr(prefix.size());
}

int OpenAt2(int directory, const std::string& path, int flags, unsigned mode) {
  open_how how;
  std::memset(&how, 0, sizeof(how));
  how.flags = static_cast<uint64_t>(flags);
  const bool creates =
      (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
  how.mode = creates ? mode : 0;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(
      syscall(SYS_openat2, directory, path.c_str(), &how, sizeof(how)));
}

// For kernels without openat2: one component at a time, following no link.
int OpenWithoutLinks(int directory, const std::string& path, int flags,
                     unsigned mode) {
  const std::vector<std::string> parts = absl::StrSplit(path, '/');
  UniqueFd parent(fcntl(directory, F_DUPFD_CLOEXEC, 0));
  for (size_t i = 0; i + 1 < parts.size() && parent.valid(); ++i) {
    parent.Reset(openat(parent.get(), parts[i].c_str(),
                        O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  }
  if (!parent.valid()) return -1;
  UniqueFd fd(
      openat(parent.get(), parts.back().c_str(), flags | O_NOFOLLOW, mode));
  struct stat info;
  // O_PATH opens the link itself.
  if (fd.valid() && fstat(fd.get(), &info) == 0 && S_ISLNK(info.st_mode)) {
    errno = ELOOP;
    return -1;
  }
  return fd.Release();
}

int OpenRelative(int directory, const std::string& path, int flags,
                 unsigned mode) {
  const int fd = OpenAt2(directory, path, flags, mode);
  if (fd >= 0 || (errno != ENOSYS && errno != EPERM)) return fd;
  return OpenWithoutLinks(directory, path, flags, mode);
}

absl::Status ErrnoStatus(const NamedRoot& root, const std::string& relative,
                         int error) {
  const std::string message = absl::StrCat("'", relative, "' beneath root '",
                                           root.name, "': ", strerror(error));
  switch (error) {
    case EXDEV:
    case ELOOP:
      return Refuse(root, absl::StrCat("'", relative,
                                       "' leads out through a symbolic link"));
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(message);
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(message);
    case EEXIST:
      return absl::AlreadyExistsError(message);
    case ENOSPC:
    case EMFILE:
    case ENFILE:
    case EDQUOT:
      return absl::ResourceExhaustedError(message);
    default:
      return absl::UnknownError(message);
  }
}

absl::StatusOr<UniqueFd> OpenRoot(const NamedRoot& root) {
  UniqueFd fd(open(root.path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (fd.valid()) return fd;
  return absl::FailedPreconditionError(
      absl::StrCat("root '", root.name, "' cannot be opened: ", strerror(errno),
                   "; check the daemon's configuration"));
}

std::string ParentOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

}  // namespace

absl::StatusOr<std::string> RelativeBeneath(const NamedRoot& root,
                                            std::string_view uri) {
  RETURN_IF_ERROR(CheckCharacters(root, uri));
  ASSIGN_OR_RETURN(const std::string_view stripped, StripRoot(root, uri));
  std::vector<std::string> parts;
  for (const auto part : absl::StrSplit(std::string(stripped), '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") return Refuse(root, "it contains '..'");
    parts.emplace_back(part);
  }
  return absl::StrJoin(parts, "/");
}

absl::StatusOr<std::string> ResolveBeneath(const NamedRoot& root,
                                           std::string_view uri) {
  ASSIGN_OR_RETURN(const std::string relative, RelativeBeneath(root, uri));
  ASSIGN_OR_RETURN(const UniqueFd directory, OpenRoot(root));
  // The longest part that exists decides where links lead.
  for (std::string part = relative; !part.empty(); part = ParentOf(part)) {
    const UniqueFd fd(
        OpenRelative(directory.get(), part, O_PATH | O_CLOEXEC, 0));
    if (fd.valid()) break;
    if (errno != ENOENT) return ErrnoStatus(root, relative, errno);
  }
  const std::string base = WithoutFinalSlashes(root.path);
  return relative.empty() ? base : absl::StrCat(base, "/", relative);
}

absl::StatusOr<UniqueFd> OpenBeneath(const NamedRoot& root,
                                     std::string_view uri, int flags,
                                     unsigned mode) {
  ASSIGN_OR_RETURN(const std::string relative, RelativeBeneath(root, uri));
  ASSIGN_OR_RETURN(const UniqueFd directory, OpenRoot(root));
  const std::string path = relative.empty() ? "." : relative;
  UniqueFd fd(OpenRelative(directory.get(), path, flags | O_CLOEXEC, mode));
  if (!fd.valid()) return ErrnoStatus(root, relative, errno);
  return fd;
}

}  // namespace longspan
