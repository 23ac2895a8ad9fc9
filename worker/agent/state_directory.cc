#include "worker/agent/state_directory.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"

namespace longspan::worker {
namespace {

namespace fs = std::filesystem;

absl::Status SystemError(const std::string& what) {
  return absl::UnavailableError(absl::StrCat(what, ": ", std::strerror(errno)));
}

// A file that vanished counts as empty.
std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file),
                     std::istreambuf_iterator<char>());
}

// Kills the process unless it is another one by now; true if it was there.
absl::StatusOr<bool> EndProcess(pid_t pid, long long start_time,
                                absl::Duration timeout) {
  const UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!process.valid()) {
    if (errno == ESRCH) return false;
    return SystemError(absl::StrCat("pidfd_open of ", pid));
  }
  const auto started = ProcessStartTime(pid);
  if (!started.ok() || *started != start_time) return false;
  syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0);
  struct pollfd poll_entry = {process.get(), POLLIN, 0};
  const int ready = poll(&poll_entry, 1,
                         static_cast<int>(absl::ToInt64Milliseconds(timeout)));
  if (ready == 1) return true;
  return absl::DeadlineExceededError(
      absl::StrCat("executor ", pid, " of an earlier daemon does not die"));
}

}  // namespace

absl::StatusOr<long long> ProcessStartTime(pid_t pid) {
  const std::string stat = ReadFile(absl::StrCat("/proc/", pid, "/stat"));
  // The name, in parentheses, may contain anything; field 22 is the 20th
  // after it.
  const size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) {
    return absl::NotFoundError(absl::StrCat("no process ", pid));
  }
  const std::vector<std::string> fields =
      absl::StrSplit(stat.substr(name_end + 1), ' ', absl::SkipEmpty());
  int64_t start = 0;
  if (fields.size() < 20 || !absl::SimpleAtoi(fields[19], &start)) {
    return absl::InternalError(absl::StrCat("cannot read /proc/", pid));
  }
  return start;
}

absl::StatusOr<StateDirectory> StateDirectory::Open(const std::string& path) {
  std::error_code error;
  fs::create_directories(path + "/executors", error);
  if (error) {
    return absl::UnavailableError(
        absl::StrCat("--state-dir ", path, ": ", error.message()));
  }
  fs::permissions(path, fs::perms::owner_all, error);
  UniqueFd lock(
      open((path + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock.valid()) return SystemError(path + "/lock");
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("--state-dir ", path,
                     " belongs to another running worker; give each "
                     "worker its own"));
  }
  return StateDirectory(path, std::move(lock));
}

std::string StateDirectory::PathOf(pid_t pid) const {
  return absl::StrCat(path_, "/executors/", pid);
}

absl::Status StateDirectory::RememberExecutor(pid_t pid) const {
  ASSIGN_OR_RETURN(const long long start_time, ProcessStartTime(pid));
  std::ofstream file(PathOf(pid));
  file << start_time;
  file.close();
  if (!file) return SystemError(PathOf(pid));
  return absl::OkStatus();
}

void StateDirectory::ForgetExecutor(pid_t pid) const {
  unlink(PathOf(pid).c_str());
}

absl::StatusOr<int> StateDirectory::EndLeftovers(absl::Duration timeout) const {
  int ended = 0;
  std::error_code error;
  std::vector<fs::path> files;
  for (const auto& entry :
       fs::directory_iterator(path_ + "/executors", error)) {
    files.push_back(entry.path());
  }
  for (const fs::path& file : files) {
    int pid = 0;
    int64_t start_time = 0;
    if (absl::SimpleAtoi(file.filename().string(), &pid) &&
        absl::SimpleAtoi(ReadFile(file.string()), &start_time)) {
      ASSIGN_OR_RETURN(const bool was_there,
                       EndProcess(pid, start_time, timeout));
      ended += was_there ? 1 : 0;
    }
    fs::remove(file, error);
  }
  return ended;
}

}  // namespace longspan::worker
