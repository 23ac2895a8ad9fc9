// longspan-executor: one rank of one job, started by an agent.
//
// Exit status: 0 after a result or a graceful stop, 1 after an error (both told
// to the agent), 2 when it was not started by an agent, 3 when the agent went
// away.
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <string_view>
#include <thread>

#include "common/base/version.h"
#include "worker/executor/agent_link.h"
#include "worker/executor/memory_probe.h"
#include "worker/executor/run_executor.h"

namespace {

constexpr int kAgentSocket = 3;
constexpr int kNotStartedByAgent = 2;
constexpr int kLostAgent = 3;

constexpr char kHelp[] =
    "longspan-executor: one rank of one job.\n"
    "\n"
    "Started by longspan-worker, which talks to it over descriptor 3; it has\n"
    "no use on its own. SIGTERM asks for a graceful stop.\n"
    "\n"
    "  --help     this text\n"
    "  --version  version and build\n";

// SIGTERM becomes a graceful stop; SIGPIPE nothing. Blocked here, before any
// other thread exists, so that only the waiting thread takes the signal.
sigset_t BlockSignals() {
  ::signal(SIGPIPE, SIG_IGN);
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return set;
}

void StopOnSignal(sigset_t set, longspan::worker::AgentLink& link) {
  std::thread([set, &link] {
    int number = 0;
    if (::sigwait(&set, &number) == 0) link.RequestStop("SIGTERM");
  }).detach();
}

// Leaves without destructors: peers see the connections close at once.
void LeaveProcess(absl::Status) { ::_exit(kLostAgent); }

bool HasAgentSocket() { return ::fcntl(kAgentSocket, F_GETFD) >= 0; }

}  // namespace

int main(int argc, char** argv) {
  const std::string_view flag = argc > 1 ? argv[1] : "";
  if (flag == "--help") {
    std::fputs(kHelp, stdout);
    return 0;
  }
  if (flag == "--version") {
    std::puts(longspan::VersionLine("longspan-executor").c_str());
    return 0;
  }
  if (argc > 1 || !HasAgentSocket()) {
    std::fputs(kHelp, stderr);
    return kNotStartedByAgent;
  }
  longspan::worker::KeepHeapCompact();
  const sigset_t signals = BlockSignals();
  ::fcntl(kAgentSocket, F_SETFD, FD_CLOEXEC);
  auto* link = new longspan::worker::AgentLink(longspan::UniqueFd(kAgentSocket),
                                               LeaveProcess);
  StopOnSignal(signals, *link);
  const absl::Status status = longspan::worker::RunExecutor(*link);
  (void)link->Flush();
  // The signal thread may still use the link; the system takes both.
  std::fflush(nullptr);
  ::_exit(status.ok() || absl::IsCancelled(status) ? 0 : 1);
}
