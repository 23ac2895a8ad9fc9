#include "cli/supervisor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "cli/restart_backoff.h"
#include "common/base/clock.h"
#include "common/base/unique_fd.h"
#include "common/base/units.h"

namespace longspan::cli {
namespace {

struct Child {
  const DaemonCommand* command = nullptr;
  pid_t pid = -1;  // -1: not running
  absl::Duration started;
  absl::Duration start_at;  // while not running
  RestartBackoff backoff;
};

std::string DeathText(int status) {
  if (WIFSIGNALED(status)) {
    return absl::StrCat("was killed by ", strsignal(WTERMSIG(status)));
  }
  return absl::StrCat("exited with ", WEXITSTATUS(status));
}

// In the child, between fork and exec: only async-signal-safe calls.
[[noreturn]] void Exec(char* const* arguments, int log, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(126);
  // Its own group: Ctrl-C is for the parent, which stops children in order.
  setpgid(0, 0);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  int null = open("/dev/null", O_RDONLY);
  dup2(null, STDIN_FILENO);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  execv(arguments[0], arguments);
  _exit(127);
}

class Supervisor {
 public:
  Supervisor(const std::vector<DaemonCommand>& daemons,
             const SupervisorOptions& options)
      : options_(options) {
    for (const DaemonCommand& daemon : daemons) {
      children_.emplace_back();
      children_.back().command = &daemon;
    }
  }

  absl::Status Run(const std::function<void()>& on_started) {
    BlockSignals();
    for (Child& child : children_) {
      failure_.Update(Start(&child));
    }
    if (failure_.ok()) on_started();
    while (failure_.ok() && !stopping_) {
      WaitForSignal(NextStart());
      Reap();
      StartDue();
    }
    Stop();
    return failure_;
  }

 private:
  static absl::Duration Now() { return SystemClock::Get().Monotonic(); }

  void BlockSignals() {
    sigemptyset(&signals_);
    for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) {
      sigaddset(&signals_, signal);
    }
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  }

  void WaitForSignal(absl::Duration longest) {
    timespec wait = absl::ToTimespec(longest);
    int signal = sigtimedwait(&signals_, nullptr, &wait);
    if (signal == SIGINT || signal == SIGTERM || signal == SIGHUP) {
      stopping_ = true;
    }
  }

  absl::Duration NextStart() const {
    absl::Duration wait = absl::Seconds(1);
    for (const Child& child : children_) {
      if (child.pid < 0) wait = std::min(wait, child.start_at - Now());
    }
    return std::max(wait, absl::ZeroDuration());
  }

  absl::Status Start(Child* child) {
    const DaemonCommand& command = *child->command;
    UniqueFd log(open(command.log_file.c_str(),
                      O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    if (!log.valid()) {
      return absl::InternalError(absl::StrCat(
          "cannot write '", command.log_file, "': ", std::strerror(errno)));
    }
    std::vector<char*> arguments;
    for (const std::string& argument : command.arguments) {
      arguments.push_back(const_cast<char*>(argument.c_str()));
    }
    arguments.push_back(nullptr);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) Exec(arguments.data(), log.get(), parent);
    if (pid < 0) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "cannot start ", command.name, ": ", std::strerror(errno)));
    }
    child->pid = pid;
    child->started = Now();
    return absl::OkStatus();
  }

  void StartDue() {
    for (Child& child : children_) {
      if (stopping_ || child.pid >= 0 || child.start_at > Now()) continue;
      failure_.Update(Start(&child));
    }
  }

  // Takes the status of every child that has ended.
  void Reap() {
    int status = 0;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
      for (Child& child : children_) {
        if (child.pid == pid) OnDeath(&child, status);
      }
    }
  }

  void OnDeath(Child* child, int status) {
    child->pid = -1;
    if (stopping_) return;
    const DaemonCommand& command = *child->command;
    std::string what = absl::StrCat(command.name, " ", DeathText(status),
                                    " (see ", command.log_file, ")");
    bool cannot_run = WIFEXITED(status) && WEXITSTATUS(status) == 127;
    if (!options_.restart || cannot_run) {
      failure_.Update(absl::AbortedError(what));
      return;
    }
    absl::Duration wait = child->backoff.OnDeath(Now() - child->started);
    child->start_at = Now() + wait;
    std::cerr << what << "; starting it again in " << FormatElapsed(wait)
              << std::endl;
  }

  bool AnyRunning() const {
    return std::any_of(children_.begin(), children_.end(),
                       [](const Child& child) { return child.pid >= 0; });
  }

  void SignalAll(int signal) {
    for (const Child& child : children_) {
      if (child.pid >= 0) kill(child.pid, signal);
    }
  }

  // Workers first, the coordinator last, so that they can still report.
  void Stop() {
    stopping_ = true;
    absl::Duration deadline = Now() + absl::Seconds(options_.stop_seconds);
    for (auto child = children_.rbegin(); child != children_.rend(); ++child) {
      if (child->pid >= 0) kill(child->pid, SIGTERM);
      if (std::next(child) == std::prev(children_.rend())) {
        WaitWhile([&] { return OthersRunning(); }, deadline);
      }
    }
    WaitWhile([&] { return AnyRunning(); }, deadline);
    if (!AnyRunning()) return;
    SignalAll(SIGKILL);
    WaitWhile([&] { return AnyRunning(); }, Now() + absl::Seconds(5));
  }

  bool OthersRunning() const {
    return std::any_of(children_.begin() + 1, children_.end(),
                       [](const Child& child) { return child.pid >= 0; });
  }

  void WaitWhile(const std::function<bool()>& running,
                 absl::Duration deadline) {
    Reap();
    while (running() && Now() < deadline) {
      timespec wait = absl::ToTimespec(absl::Milliseconds(200));
      sigtimedwait(&signals_, nullptr, &wait);
      Reap();
    }
  }

  const SupervisorOptions options_;
  std::vector<Child> children_;
  sigset_t signals_;
  bool stopping_ = false;
  absl::Status failure_;
};

}  // namespace

absl::Status Supervise(const std::vector<DaemonCommand>& daemons,
                       const SupervisorOptions& options,
                       const std::function<void()>& on_started) {
  return Supervisor(daemons, options).Run(on_started);
}

}  // namespace longspan::cli
