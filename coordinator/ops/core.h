// The coordinator's state behind one mutex, and the three things that follow
// from every change of it: the change is journaled (Commit), the job goes on as
// far as it can (Settle), and free slots are given away (Reschedule).
//
// Operations (one file each in this directory) lock `mu`, check their request,
// call these, and answer. They know nothing of gRPC, so tests call them
// directly. Thread-safe through `mu`; every method requires it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "coordinator/cluster/worker_table.h"
#include "coordinator/dispatch/gang.h"
#include "coordinator/dispatch/rendezvous_board.h"
#include "coordinator/dispatch/worker_link.h"
#include "coordinator/job/job_table.h"
#include "coordinator/ops/coordinator_probe.h"
#include "coordinator/ops/core_options.h"
#include "coordinator/ops/job_history.h"
#include "coordinator/ops/notifier.h"
#include "coordinator/ops/progress_board.h"
#include "coordinator/ops/token_board.h"
#include "coordinator/store/journal.h"
#include "coordinator/store/log_store.h"

namespace longspan::coordinator {

// Why a job waits and how many are before it; recomputed, never journaled.
struct PendingInfo {
  std::string reason;
  int queue_position = 0;
};

class Core {
 public:
  // What it is given lives longer than it.
  struct Dependencies {
    const Clock& clock;
    Journal& journal;
    LogStore& logs;
    MetricRegistry& metrics;
  };

  Core(CoreOptions options, const Dependencies& dependencies);

  // Replays the journal and expects the workers of live attempts. Once, before
  // anything else. DataLoss if an event does not apply.
  absl::Status Restore(const JournalContents& contents) EXCLUDES(mu);

  // Makes the events durable, then applies them; all or none. Unavailable if
  // the journal cannot be written.
  absl::Status Commit(const std::vector<JobEvent>& events) REQUIRES(mu);

  // Advances a job as far as its state and its ranks' reports allow, and sends
  // what its gang should hear.
  void Settle(const JobName& name) REQUIRES(mu);

  // Gives free slots to waiting jobs and renews every pending reason.
  void Reschedule() REQUIRES(mu);

  // A rank's report or loss: updates the gang, frees the slot when
  // `slot_is_free`, settles the job.
  void ReportRank(const JobName& name, int rank, RankStatus status,
                  bool slot_is_free) REQUIRES(mu);

  // Forgets the rows of jobs whose deletion no watcher can ask for any more.
  void CompactJournal() REQUIRES(mu);

  // Sends the rank's Assignment (again).
  void SendAssignment(const Job& job, const Placement& placement) REQUIRES(mu);
  void SendStart(const Job& job, const std::string& worker) REQUIRES(mu);
  void SendTo(const std::string& worker, const v1::CoordinatorMessage& message)
      REQUIRES(mu);

  // The live gang of a job, or null.
  Gang* FindGang(const JobName& name) REQUIRES(mu);
  WorkerLink* LinkOf(const std::string& worker) REQUIRES(mu);

  absl::Duration monotonic() const { return clock.Monotonic(); }
  absl::Time wall() const { return clock.Now(); }

  // Immutable after construction.
  const CoreOptions options;
  const Clock& clock;
  LogStore& logs;
  Journal& journal;
  CoordinatorProbe probe;

  Notifier notifier;

  Mutex mu;
  // Guarded by mu.
  JobTable jobs GUARDED_BY(mu);
  WorkerTable workers GUARDED_BY(mu);
  JobHistory history GUARDED_BY(mu);
  std::map<JobName, Gang> gangs GUARDED_BY(mu);
  std::map<JobName, PendingInfo> pending GUARDED_BY(mu);
  RendezvousBoard rendezvous GUARDED_BY(mu);
  ProgressBoard progress GUARDED_BY(mu);
  TokenBoard tokens GUARDED_BY(mu);
  std::map<int64_t, std::shared_ptr<WorkerLink>> links GUARDED_BY(mu);
  int64_t next_connection GUARDED_BY(mu) = 1;
  // Of the last write; not OK: the service is not serving.
  absl::Status journal_status GUARDED_BY(mu);
  // Shutting down: streams end with UNAVAILABLE and cancel nothing.
  bool stopping GUARDED_BY(mu) = false;

 private:
  void Remember(const JournalEntry& entry) REQUIRES(mu);
  void RestoreGang(const Job& job) REQUIRES(mu);
  void StartGang(const Job& job) REQUIRES(mu);
  void EndGang(const Job& before, const Gang& gang) REQUIRES(mu);
  void SendDue(const Job& job, Gang& gang) REQUIRES(mu);
  void SendStop(const Job& job, const Gang& gang) REQUIRES(mu);
  // False if the journal refused.
  bool CommitNext(const Job& job, JobEventBody body) REQUIRES(mu);

  // Deleted jobs whose rows are still in the journal, by revision.
  std::map<int64_t, JobName> deleted_ GUARDED_BY(mu);
};

}  // namespace longspan::coordinator
