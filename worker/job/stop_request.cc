#include "worker/job/stop_request.h"

#include <utility>

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

}  // namespace longspan::worker
