#include "coordinator/job/root_cause.h"

#include "absl/strings/str_cat.h"

namespace longspan::coordinator {
namespace {

bool IsEcho(absl::StatusCode code) {
  return code == absl::StatusCode::kAborted ||
         code == absl::StatusCode::kCancelled ||
         code == absl::StatusCode::kUnavailable;
}

int Weight(absl::StatusCode code) {
  if (IsPermanent(code)) return 2;
  return IsEcho(code) ? 0 : 1;
}

}  // namespace

bool IsPermanent(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kUnimplemented:
      return true;
    default:
      return false;
  }
}

std::optional<RankFailure> RootCause(const std::vector<RankFailure>& failures) {
  const RankFailure* worst = nullptr;
  for (const RankFailure& failure : failures) {
    if (worst == nullptr || Weight(failure.code) > Weight(worst->code)) {
      worst = &failure;
    }
  }
  if (worst == nullptr) return std::nullopt;
  return *worst;
}

std::string DescribeFailures(const std::vector<RankFailure>& failures) {
  const std::optional<RankFailure> cause = RootCause(failures);
  if (!cause) return "";
  std::string text =
      absl::StrCat("rank ", cause->rank, ": ",
                   absl::StatusCodeToString(cause->code), ": ", cause->error);
  const size_t others = failures.size() - 1;
  if (others > 0) {
    absl::StrAppend(&text, " (and ", others, " more ",
                    others == 1 ? "rank)" : "ranks)");
  }
  return text;
}

}  // namespace longspan::coordinator
