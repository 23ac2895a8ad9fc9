#include "tests/support/rendezvous_stores.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "absl/strings/str_cat.h"

namespace longspan::testing {
namespace {

using Clock = std::chrono::steady_clock;

Clock::time_point DeadlineAfter(absl::Duration timeout) {
  return Clock::now() +
         absl::ToChronoNanoseconds(std::min(timeout, absl::Hours(1)));
}

}  // namespace

absl::Status MemoryRendezvousStore::Set(const std::string& key,
                                        const std::string& value) {
  MutexLock lock(mu_);
  if (!values_.emplace(key, value).second) {
    return absl::AlreadyExistsError(absl::StrCat("key ", key));
  }
  changed_.NotifyAll();
  return absl::OkStatus();
}

absl::StatusOr<std::string> MemoryRendezvousStore::Get(const std::string& key,
                                                       absl::Duration timeout) {
  const Clock::time_point deadline = DeadlineAfter(timeout);
  MutexLock lock(mu_);
  while (true) {
    if (aborted_) return absl::AbortedError("rendezvous aborted");
    const auto it = values_.find(key);
    if (it != values_.end()) return it->second;
    if (!changed_.WaitUntil(mu_, deadline) && values_.count(key) == 0) {
      return absl::DeadlineExceededError(absl::StrCat("no value for ", key));
    }
  }
}

void MemoryRendezvousStore::Abort() {
  MutexLock lock(mu_);
  aborted_ = true;
  changed_.NotifyAll();
}

std::string DirectoryRendezvousStore::PathOf(const std::string& key) const {
  std::string name = key;
  std::replace(name.begin(), name.end(), '/', '~');
  return absl::StrCat(directory_, "/", name);
}

absl::Status DirectoryRendezvousStore::Set(const std::string& key,
                                           const std::string& value) {
  const std::string path = PathOf(key);
  const std::string partial = path + ".partial";
  std::ofstream(partial, std::ios::binary) << value;
  std::error_code error;
  std::filesystem::rename(partial, path, error);
  if (error) return absl::UnavailableError(error.message());
  return absl::OkStatus();
}

absl::StatusOr<std::string> DirectoryRendezvousStore::Get(
    const std::string& key, absl::Duration timeout) {
  const Clock::time_point deadline = DeadlineAfter(timeout);
  while (!aborted_) {
    std::ifstream file(PathOf(key), std::ios::binary);
    if (file) {
      return std::string(std::istreambuf_iterator<char>(file),
                         std::istreambuf_iterator<char>());
    }
    if (Clock::now() >= deadline) {
      return absl::DeadlineExceededError(absl::StrCat("no value for ", key));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return absl::AbortedError("rendezvous aborted");
}

}  // namespace longspan::testing
