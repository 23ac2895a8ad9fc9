// A graceful stop, asked for by the agent or by SIGTERM.
//
// The job looks at it once per step or token, agrees on it with the other
// ranks, keeps its work (a checkpoint, if it can) and returns kCancelled.
// Thread-safe; it is set once and never unset.
#pragma once

#include <atomic>
#include <string>

#include "absl/status/status.h"
#include "common/base/mutex.h"

namespace longspan::worker {

class StopRequest {
 public:
  // The first reason wins.
  void Request(std::string reason) EXCLUDES(mu_);

  bool requested() const { return requested_.load(); }
  std::string reason() const EXCLUDES(mu_);  // empty until requested

  // What a job returns that another rank's request stopped, or this one's:
  // kCancelled, with the reason where it is known.
  absl::Status AsStatus() const;

 private:
  std::atomic<bool> requested_{false};
  mutable Mutex mu_;
  std::string reason_ GUARDED_BY(mu_);
};

}  // namespace longspan::worker
