#include "coordinator/job/root_cause.h"

#include <algorithm>

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

constexpr size_t kMaxDescribed = 3;

std::string DescribeOne(const RankFailure& failure) {
  return absl::StrCat("rank ", failure.rank, ": ",
                      absl::StatusCodeToString(failure.code), ": ",
                      failure.error);
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

bool WasInterrupted(const std::vector<RankFailure>& failures) {
  return !failures.empty() &&
         std::all_of(failures.begin(), failures.end(),
                     [](const RankFailure& failure) {
                       return failure.code == absl::StatusCode::kCancelled;
                     });
}

std::string DescribeFailures(const std::vector<RankFailure>& failures) {
  const std::optional<RankFailure> cause = RootCause(failures);
  if (!cause) return "";
  std::string text = DescribeOne(*cause);
  size_t described = 1;
  for (const RankFailure& failure : failures) {
    // If all are echoes, any of them may be the source.
    if (Weight(cause->code) > 0 || described == kMaxDescribed) break;
    if (failure.rank == cause->rank) continue;
    absl::StrAppend(&text, "; ", DescribeOne(failure));
    ++described;
  }
  const size_t others = failures.size() - described;
  if (others > 0) {
    absl::StrAppend(&text, " (and ", others, " more ",
                    others == 1 ? "rank)" : "ranks)");
  }
  return text;
}

}  // namespace longspan::coordinator
