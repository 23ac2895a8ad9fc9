// An executor: a child process that speaks frames over the socketpair it
// inherits as descriptor 3, with no other descriptor of the daemon.
//
// Send and Signal are thread-safe. Handlers are called by the process's
// threads: on_frame in order, then on_exit once, after the last frame. They
// must not destroy the object. Destruction kills the process and waits.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "common/base/unique_fd.h"
#include "worker/executor/executor_loop.h"

namespace longspan::worker {

struct ExecutorCommand {
  std::string program;                   // absolute path
  std::vector<std::string> arguments;    // after the program's name
  std::vector<std::string> environment;  // "NAME=value"; nothing is inherited
};

struct ExecutorHandlers {
  std::function<void(std::string frame)> on_frame;
  std::function<void(int wait_status)> on_exit;
};

class ExecutorProcess {
 public:
  static absl::StatusOr<std::unique_ptr<ExecutorProcess>> Start(
      const ExecutorCommand& command, ExecutorHandlers handlers);
  ~ExecutorProcess();
  ExecutorProcess(const ExecutorProcess&) = delete;
  ExecutorProcess& operator=(const ExecutorProcess&) = delete;

  pid_t pid() const { return pid_; }

  void Send(std::string frame);

  // Nothing happens if the process is gone.
  void Signal(int number) EXCLUDES(mu_);

 private:
  ExecutorProcess(pid_t pid, UniqueFd socket, ExecutorHandlers handlers);

  void WatchExit();
  void OnEndOfFrames();

  // Immutable after construction.
  const pid_t pid_;
  const ExecutorHandlers handlers_;

  Mutex mu_;
  CondVar changed_;
  bool frames_ended_ GUARDED_BY(mu_) = false;
  bool reaped_ GUARDED_BY(mu_) = false;

  // Last: their threads use what is above.
  ExecutorLoop loop_;
  std::thread watcher_;
};

// "exited with status 1", "was killed by signal 9 (Killed)".
std::string DescribeExit(int wait_status);

}  // namespace longspan::worker
