// A work that failed before it started: bad arguments or a broken group.
#pragma once

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "worker/collective/process_group.h"

namespace longspan::worker {

class FailedWork : public Work {
 public:
  explicit FailedWork(absl::Status status) : status_(std::move(status)) {}
  absl::Status Wait() override { return status_; }

 private:
  const absl::Status status_;
};

inline std::unique_ptr<Work> Failed(absl::Status status) {
  return std::make_unique<FailedWork>(std::move(status));
}

}  // namespace longspan::worker
