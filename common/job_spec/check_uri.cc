#include "common/job_spec/check_uri.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace longspan {
namespace {

constexpr size_t kMaxUriLength = 2048;
constexpr size_t kMaxNameLength = 63;

bool IsPlainName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxNameLength &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
         });
}

bool HasForbiddenCharacter(std::string_view path) {
  return std::any_of(path.begin(), path.end(), [](char c) {
    return c == '\\' || c == '%' ||
           absl::ascii_iscntrl(static_cast<unsigned char>(c));
  });
}

bool HasDotDot(std::string_view path) {
  std::vector<std::string> parts = absl::StrSplit(std::string(path), '/');
  return std::find(parts.begin(), parts.end(), "..") != parts.end();
}

absl::Status BadUri(std::string_view uri, std::string_view reason) {
  return absl::InvalidArgumentError(absl::StrCat(
      "'", std::string(uri.substr(0, 200)), "' ", std::string(reason)));
}

}  // namespace

absl::Status CheckRootUri(std::string_view uri) {
  size_t separator = uri.find("://");
  if (separator == std::string_view::npos ||
      !IsPlainName(uri.substr(0, separator))) {
    return BadUri(uri,
                  "is not a URI: write root://path, such as "
                  "corpus://train.txt (roots: those of the workers)");
  }
  std::string_view path = uri.substr(separator + 3);
  if (uri.size() > kMaxUriLength) {
    return BadUri(
        uri, absl::StrCat("is longer than ", kMaxUriLength, " characters"));
  }
  if (path.empty()) return BadUri(uri, "names a root but no path in it");
  if (path.front() == '/') return BadUri(uri, "has an absolute path");
  if (HasDotDot(path)) return BadUri(uri, "must not contain '..'");
  if (HasForbiddenCharacter(path)) {
    return BadUri(uri, "must not contain '\\', '%' or control characters");
  }
  return absl::OkStatus();
}

absl::Status CheckJobName(std::string_view name) {
  std::vector<std::string> parts = absl::StrSplit(std::string(name), '/');
  if (parts.size() == 4 && parts[0] == "tenants" && parts[2] == "jobs" &&
      IsPlainName(parts[1]) && IsPlainName(parts[3])) {
    return absl::OkStatus();
  }
  return BadUri(name, "is not a job: write tenants/default/jobs/ID");
}

}  // namespace longspan
