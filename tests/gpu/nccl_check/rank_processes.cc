#include "tests/gpu/nccl_check/rank_processes.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace longspan {
namespace {

constexpr int kNotStarted = 127;

// After one rank has failed, for what the others have to say.
constexpr absl::Duration kLastWords = absl::Seconds(1);

[[noreturn]] void BecomeRank(const RankCommand& command) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::vector<std::string> words = command.arguments;
  std::vector<std::string> environment = command.environment;
  for (std::string& setting : environment) putenv(setting.data());
  std::string program = "nccl-check-rank";
  std::vector<char*> pointers = {program.data()};
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  execv("/proc/self/exe", pointers.data());
  _exit(kNotStarted);
}

std::string DescribeEnd(int rank, int status) {
  if (WIFSIGNALED(status)) {
    return absl::StrCat("rank ", rank, " was killed by signal ",
                        WTERMSIG(status));
  }
  return absl::StrCat("rank ", rank, " ended with status ",
                      WEXITSTATUS(status));
}

// The processes that have not been waited for, by rank.
using Running = std::map<int, pid_t>;

// Until all have ended, one has failed or time is up.
absl::Status AwaitAll(Running& running, absl::Time deadline) {
  while (!running.empty()) {
    for (auto [rank, pid] : Running(running)) {
      int status = 0;
      if (waitpid(pid, &status, WNOHANG) != pid) continue;
      running.erase(rank);
      if (status != 0) return absl::InternalError(DescribeEnd(rank, status));
    }
    if (absl::Now() > deadline) {
      return absl::DeadlineExceededError("the ranks did not end in time");
    }
    absl::SleepFor(absl::Milliseconds(5));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status RunRanks(const std::vector<RankCommand>& ranks,
                      absl::Duration limit) {
  Running running;
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    const pid_t pid = fork();
    if (pid == 0) BecomeRank(ranks[rank]);
    if (pid > 0) running[static_cast<int>(rank)] = pid;
  }
  const absl::Status status = running.size() == ranks.size()
                                  ? AwaitAll(running, absl::Now() + limit)
                                  : absl::UnavailableError("fork failed");
  if (status.ok()) return status;
  const absl::Time patience = absl::Now() + kLastWords;
  while (AwaitAll(running, patience).code() == absl::StatusCode::kInternal) {
  }
  for (const auto& [rank, pid] : running) {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }
  return status;
}

}  // namespace longspan
