#include "worker/job/stop_request.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace longspan::worker {

void StopRequest::Request(std::string reason) {
  MutexLock lock(mu_);
  if (requested_.load()) return;
  reason_ = std::move(reason);
  requested_.store(true);
}

std::string StopRequest::reason() const {
  MutexLock lock(mu_);
  return reason_;
}

absl::Status StopRequest::AsStatus() const {
  const std::string why = reason();
  return absl::CancelledError(
      absl::StrCat("stopped: ", why.empty() ? "asked on another rank" : why));
}

}  // namespace longspan::worker
