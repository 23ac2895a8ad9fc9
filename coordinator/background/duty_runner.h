// Runs duties on one thread, each once a period. A duty that is late runs once,
// not as often as it missed. Exceptions of a duty are logged.
#pragma once

#include <memory>
#include <thread>
#include <vector>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "coordinator/background/duty.h"

namespace longspan::coordinator {

class DutyRunner {
 public:
  // `clock` outlives the runner.
  DutyRunner(const Clock& clock, std::vector<std::unique_ptr<Duty>> duties);
  // Waits for a duty under way.
  ~DutyRunner();
  DutyRunner(const DutyRunner&) = delete;
  DutyRunner& operator=(const DutyRunner&) = delete;

 private:
  struct Scheduled {
    std::unique_ptr<Duty> duty;
    absl::Duration next;  // monotonic
  };

  void Run();
  // Runs what is due; returns how long nothing will be.
  absl::Duration RunDue();

  const Clock& clock_;
  std::vector<Scheduled> duties_;  // of the thread

  Mutex mu_;
  CondVar stop_;
  bool stopping_ GUARDED_BY(mu_) = false;

  std::thread thread_;  // last
};

}  // namespace longspan::coordinator
