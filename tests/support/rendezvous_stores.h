// Rendezvous stores without a coordinator: one for the threads of a process,
// one, in a directory, for processes of one machine.
#pragma once

#include <atomic>
#include <map>
#include <string>

#include "common/base/mutex.h"
#include "worker/collective/rendezvous_store.h"

namespace longspan::testing {

class MemoryRendezvousStore : public worker::RendezvousStore {
 public:
  absl::Status Set(const std::string& key, const std::string& value) override;
  absl::StatusOr<std::string> Get(const std::string& key,
                                  absl::Duration timeout) override;
  void Abort() override;

 private:
  Mutex mu_;
  CondVar changed_;
  bool aborted_ GUARDED_BY(mu_) = false;
  std::map<std::string, std::string> values_ GUARDED_BY(mu_);
};

// A file per key, moved into place when complete; Get polls.
class DirectoryRendezvousStore : public worker::RendezvousStore {
 public:
  explicit DirectoryRendezvousStore(std::string directory)
      : directory_(std::move(directory)) {}

  absl::Status Set(const std::string& key, const std::string& value) override;
  absl::StatusOr<std::string> Get(const std::string& key,
                                  absl::Duration timeout) override;
  void Abort() override { aborted_ = true; }

 private:
  std::string PathOf(const std::string& key) const;

  const std::string directory_;
  std::atomic<bool> aborted_ = false;
};

}  // namespace longspan::testing
