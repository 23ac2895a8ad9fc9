// All workers: registrations, leases and the use of slots.
//
// A slot is free only when that is known: a lost worker keeps its slots until
// it registers again without the executors, or until detached_timeout, when
// its executors have stopped themselves. After a restart of the coordinator
// the workers of running jobs are expected for one lease before they count as
// lost.
//
// Time comes in as readings of one monotonic clock. Not thread-safe; the core
// guards it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "coordinator/cluster/worker.h"

namespace longspan::coordinator {

struct LeaseOptions {
  absl::Duration lease = absl::Seconds(15);
  absl::Duration detached_timeout = absl::Minutes(10);
};

struct Registration {
  std::string name;
  std::string incarnation;
  WorkerDescription info;
  int64_t connection = 0;  // not 0
};

// What a sweep of the leases found.
struct ExpiredLeases {
  std::vector<std::string> lost;       // their leases ended
  std::vector<std::string> forgotten;  // lost for longer than detached_timeout
};

class WorkerTable {
 public:
  explicit WorkerTable(LeaseOptions options) : options_(options) {}

  const std::map<std::string, Worker>& workers() const { return workers_; }
  const Worker* Find(const std::string& name) const;

  // A worker that must exist, because a job runs there: after a restart.
  void Expect(const std::string& name, int slot, const SlotUse& use,
              absl::Duration now);

  // Why a registration is refused: AlreadyExists when another live daemon has
  // the name, InvalidArgument for bad names and devices.
  absl::Status CheckRegistration(const Registration& registration,
                                 absl::Duration now) const;

  // The worker is ready with a fresh lease; uses are kept.
  void Register(const Registration& registration, absl::Duration now,
                absl::Time wall);

  // False if `connection` no longer speaks for the worker.
  bool Renew(const std::string& name, int64_t connection, absl::Duration now,
             absl::Time wall);

  void Drain(const std::string& name);

  // The stream ended. The lease runs on; a drained worker without executors is
  // forgotten.
  void Disconnect(const std::string& name, int64_t connection);

  ExpiredLeases Sweep(absl::Duration now);

  // Marks the slot used; the slot must be free.
  void Use(const std::string& name, int slot, const SlotUse& use);

  // Frees the slot if `use` is what holds it.
  void Release(const std::string& name, int slot, const SlotUse& use);

 private:
  const LeaseOptions options_;
  std::map<std::string, Worker> workers_;
};

}  // namespace longspan::coordinator
