#include "worker/agent/executor_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace longspan::worker {
namespace {

constexpr int kExecutorSocket = 3;

// After a process has died its last frames are read for at most this long.
constexpr absl::Duration kLastFrames = absl::Seconds(5);

std::vector<char*> Pointers(std::vector<std::string>* words) {
  std::vector<char*> pointers;
  for (std::string& word : *words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Owns what posix_spawn takes.
class SpawnSetup {
 public:
  SpawnSetup() {
    posix_spawn_file_actions_init(&actions_);
    posix_spawnattr_init(&attributes_);
  }
  ~SpawnSetup() {
    posix_spawnattr_destroy(&attributes_);
    posix_spawn_file_actions_destroy(&actions_);
  }

  // Descriptors: /dev/null, the daemon's output twice, the socket. Signals as
  // in a fresh process; a group of its own, so that a terminal's Ctrl-C
  // reaches the daemon only.
  void Prepare(int socket) {
    posix_spawn_file_actions_addopen(&actions_, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions_, socket, kExecutorSocket);
    posix_spawn_file_actions_addclosefrom_np(&actions_, kExecutorSocket + 1);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    posix_spawnattr_setpgroup(&attributes_, 0);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK |
                                               POSIX_SPAWN_SETSIGDEF |
                                               POSIX_SPAWN_SETPGROUP);
  }

  int Spawn(const ExecutorCommand& command, pid_t* pid) {
    std::vector<std::string> words = {command.program};
    words.insert(words.end(), command.arguments.begin(),
                 command.arguments.end());
    std::vector<std::string> environment = command.environment;
    return posix_spawn(pid, command.program.c_str(), &actions_, &attributes_,
                       Pointers(&words).data(), Pointers(&environment).data());
  }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ExecutorProcess>> ExecutorProcess::Start(
    const ExecutorCommand& command, ExecutorHandlers handlers) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return absl::UnavailableError(
        absl::StrCat("socketpair: ", std::strerror(errno)));
  }
  UniqueFd ours(ends[0]);
  const UniqueFd theirs(ends[1]);
  SpawnSetup setup;
  setup.Prepare(theirs.get());
  pid_t pid = -1;
  if (const int error = setup.Spawn(command, &pid); error != 0) {
    return absl::UnavailableError(absl::StrCat("cannot start ", command.program,
                                               ": ", std::strerror(error)));
  }
  return std::unique_ptr<ExecutorProcess>(
      new ExecutorProcess(pid, std::move(ours), std::move(handlers)));
}

ExecutorProcess::ExecutorProcess(pid_t pid, UniqueFd socket,
                                 ExecutorHandlers handlers)
    : pid_(pid),
      handlers_(std::move(handlers)),
      loop_(std::move(socket),
            {.on_frame =
                 [this](std::string frame) {
                   handlers_.on_frame(std::move(frame));
                   return absl::OkStatus();
                 },
             .on_end = [this](absl::Status) { OnEndOfFrames(); }}) {
  loop_.Start();
  watcher_ = std::thread([this] { WatchExit(); });
}

ExecutorProcess::~ExecutorProcess() {
  Signal(SIGKILL);
  watcher_.join();
}

void ExecutorProcess::Send(std::string frame) {
  loop_.outbox().Send(std::move(frame));
}

void ExecutorProcess::Signal(int number) {
  MutexLock lock(mu_);
  // Until it is reaped, the number cannot belong to another process.
  if (!reaped_) kill(pid_, number);
}

void ExecutorProcess::OnEndOfFrames() {
  MutexLock lock(mu_);
  frames_ended_ = true;
  changed_.NotifyAll();
}

void ExecutorProcess::WatchExit() {
  siginfo_t info = {};
  while (waitid(P_PID, pid_, &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
  }
  int status = 0;
  {
    const auto deadline = std::chrono::steady_clock::now() +
                          absl::ToChronoNanoseconds(kLastFrames);
    MutexLock lock(mu_);
    while (!frames_ended_) {
      if (!changed_.WaitUntil(mu_, deadline)) break;
    }
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    reaped_ = true;
  }
  handlers_.on_exit(status);
}

std::string DescribeExit(int wait_status) {
  if (WIFSIGNALED(wait_status)) {
    const int number = WTERMSIG(wait_status);
    return absl::StrCat("was killed by signal ", number, " (",
                        strsignal(number), ")");
  }
  return absl::StrCat("exited with status ", WEXITSTATUS(wait_status));
}

}  // namespace longspan::worker
