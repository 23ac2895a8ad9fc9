// The ranks that this worker answers for, and the fences around them.
//
// A rank enters with its assignment and leaves when the coordinator has
// acknowledged its end. Of every job the newest (attempt, epoch) seen is kept,
// for as long as the daemon lives: messages of an older one are stale, and a
// newer one supersedes the ranks of an older one. Not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "longspan/internal/executor.pb.h"
#include "longspan/v1/worker_service.pb.h"
#include "worker/agent/executor_process.h"

namespace longspan::worker {

struct RankKey {
  std::string job;
  int attempt = 0;
  int64_t epoch = 0;
  int rank = 0;

  RankKey() = default;
  RankKey(const v1::AttemptKey& key, int rank)
      : job(key.job()),
        attempt(key.attempt()),
        epoch(key.epoch()),
        rank(rank) {}

  v1::AttemptKey attempt_key() const;
  bool IsOf(const v1::AttemptKey& key) const;
  std::string ToString() const;  // "tenants/t/jobs/j attempt 1 epoch 3 rank 0"

  friend bool operator<(const RankKey& a, const RankKey& b) {
    return std::tie(a.job, a.attempt, a.epoch, a.rank) <
           std::tie(b.job, b.attempt, b.epoch, b.rank);
  }
};

struct RankRecord {
  RankKey key;
  v1::Assignment assignment;
  // Null before the slot is free and after the process has ended.
  std::unique_ptr<ExecutorProcess> process;
  // The newest status; its state is unspecified until there is one.
  v1::AssignmentStatus status;
  std::optional<internal::Finished> finished;
  bool start_requested = false;
  bool stop_requested = false;
  std::string stop_reason;
  // Asked of the coordinator and not answered, by the executor's id.
  std::map<int64_t, v1::RendezvousRequest> rendezvous;

  int slot() const { return assignment.slot(); }
  bool ended() const;  // SUCCEEDED, FAILED or STOPPED
};

class RankTable {
 public:
  // False if a newer attempt or epoch of the job has been seen. Otherwise
  // moves the fence up to `key`.
  bool Admit(const v1::AttemptKey& key);
  bool IsStale(const v1::AttemptKey& key) const;

  RankRecord* Add(const v1::Assignment& assignment);
  RankRecord* Find(const RankKey& key);
  void Remove(const RankKey& key);

  std::vector<RankRecord*> All();
  std::vector<RankRecord*> OfAttempt(const v1::AttemptKey& key);
  // Those of the same job with an older attempt or epoch.
  std::vector<RankRecord*> OlderThan(const v1::AttemptKey& key);

  // Whose process holds the slot, or null.
  RankRecord* HolderOf(int slot);
  // Who waits for the slot, or null.
  RankRecord* WaiterFor(int slot);

  int running_processes();

 private:
  using Fence = std::pair<int, int64_t>;  // attempt, epoch

  std::map<RankKey, std::unique_ptr<RankRecord>> ranks_;
  std::map<std::string, Fence> fences_;  // by job
};

}  // namespace longspan::worker
