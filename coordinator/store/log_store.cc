#include "coordinator/store/log_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/unique_fd.h"

namespace longspan::coordinator {
namespace {

absl::Status WriteAll(int fd, std::string_view data) {
  while (!data.empty()) {
    const ssize_t written = ::write(fd, data.data(), data.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return absl::ErrnoToStatus(errno, "cannot write the log");
    data.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

int64_t FileSize(const std::string& path) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0 ? info.st_size : 0;
}

}  // namespace

std::string LogStore::PathOf(const JobName& job) const {
  absl::StatusOr<JobNameParts> parts = ParseJobName(job.value());
  if (!parts.ok()) return "";
  return absl::StrCat(options_.directory, "/", parts->tenant, "/", parts->job,
                      ".log");
}

absl::Status LogStore::Append(const JobName& job, std::string_view data) {
  MutexLock lock(mu_);
  auto [entry, fresh] = sizes_.try_emplace(job, 0);
  if (fresh) entry->second = FileSize(PathOf(job));
  const int64_t room = options_.max_bytes_per_job - entry->second;
  if (room <= 0) return absl::OkStatus();
  if (static_cast<int64_t>(data.size()) < room) return Write(job, data);
  RETURN_IF_ERROR(Write(job, data.substr(0, static_cast<size_t>(room))));
  return Write(
      job, absl::StrCat("\n[longspan: the log reached its limit of ",
                        options_.max_bytes_per_job, " bytes and ends here]\n"));
}

absl::Status LogStore::Write(const JobName& job, std::string_view data) {
  const std::string path = PathOf(job);
  if (path.empty()) return absl::InvalidArgumentError("not a job name");
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(),
                                      ignored);
  UniqueFd fd(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (fd.get() < 0) return absl::ErrnoToStatus(errno, "cannot open the log");
  RETURN_IF_ERROR(WriteAll(fd.get(), data));
  sizes_[job] += static_cast<int64_t>(data.size());
  return absl::OkStatus();
}

absl::StatusOr<std::string> LogStore::Read(const JobName& job, int64_t offset,
                                           int64_t limit) const {
  if (offset < 0) {
    return absl::OutOfRangeError(
        absl::StrCat("log offset ", offset, " is negative"));
  }
  UniqueFd fd(::open(PathOf(job).c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) {
    if (errno == ENOENT) return std::string();
    return absl::ErrnoToStatus(errno, "cannot open the log");
  }
  std::string data(static_cast<size_t>(std::max<int64_t>(limit, 0)), '\0');
  const ssize_t read = ::pread(fd.get(), data.data(), data.size(), offset);
  if (read < 0) return absl::ErrnoToStatus(errno, "cannot read the log");
  data.resize(static_cast<size_t>(read));
  return data;
}

absl::Status LogStore::Remove(const JobName& job) {
  MutexLock lock(mu_);
  sizes_.erase(job);
  if (::unlink(PathOf(job).c_str()) == 0 || errno == ENOENT) {
    return absl::OkStatus();
  }
  return absl::ErrnoToStatus(errno, "cannot remove the log");
}

}  // namespace longspan::coordinator
