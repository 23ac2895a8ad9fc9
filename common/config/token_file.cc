#include "common/config/token_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/unique_fd.h"

namespace longspan {
namespace {

constexpr size_t kShortest = 16, kLongest = 4096;

absl::Status TokenError(const std::string& path, const std::string& why) {
  return absl::FailedPreconditionError(
      absl::StrCat("token file '", path, "' ", why));
}

absl::StatusOr<std::string> ReadPrivateFile(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info;
  if (!fd.valid() || fstat(fd.get(), &info) != 0) {
    return TokenError(path, absl::StrCat("cannot be read: ", strerror(errno)));
  }
  if ((info.st_mode & S_IRWXO) != 0) {
    return TokenError(path, "is open to every user; run chmod 600 on it");
  }
  std::string content(kLongest + 1, '\0');
  const ssize_t size = read(fd.get(), content.data(), content.size());
  if (size < 0) {
    return TokenError(path, absl::StrCat("cannot be read: ", strerror(errno)));
  }
  content.resize(static_cast<size_t>(size));
  return content;
}

}  // namespace

absl::StatusOr<std::string> ReadTokenFile(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string content, ReadPrivateFile(path));
  std::string token = content.substr(0, content.find('\n'));
  absl::StripAsciiWhitespace(&token);
  if (token.size() < kShortest || token.size() > kLongest) {
    return TokenError(
        path, absl::StrCat("holds a token of ", token.size(), " characters; ",
                           kShortest, " to ", kLongest, " are needed"));
  }
  for (const char c : token) {
    if (!absl::ascii_isgraph(static_cast<unsigned char>(c))) {
      return TokenError(path, "holds a character that is not printable ASCII");
    }
  }
  return token;
}

bool TokensEqual(const std::string& a, const std::string& b) {
  unsigned difference = a.size() == b.size() ? 0 : 1;
  for (size_t i = 0; i < a.size() && !b.empty(); ++i) {
    difference |= static_cast<unsigned char>(a[i]) ^
                  static_cast<unsigned char>(b[i % b.size()]);
  }
  return difference == 0;
}

}  // namespace longspan
