// A coordinator's core and fake workers in one process, under a clock that the
// test moves. The coordinator can be killed and started again at any point: a
// new core replays the same journal.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/metrics/metric_registry.h"
#include "coordinator/ops/core.h"
#include "coordinator/ops/job_operations.h"
#include "coordinator/store/log_store.h"
#include "longspan/v1/job_service.pb.h"
#include "tests/support/fake_clock/fake_clock.h"
#include "tests/support/in_process_cluster/fake_worker.h"
#include "tests/support/in_process_cluster/memory_journal.h"

namespace longspan::testing {

class InProcessCluster {
 public:
  // `adjust` may change the options before the start.
  explicit InProcessCluster(
      std::function<void(coordinator::CoreOptions&)> adjust = nullptr);
  ~InProcessCluster();

  // Adds a connected worker.
  FakeWorker& AddWorker(FakeWorkerOptions options);
  FakeWorker& AddWorker(const std::string& name, int slots = 1);

  // Creates a job and returns its name; the spec must be good.
  std::string Submit(const v1::JobSpec& spec,
                     const std::string& request_id = "");

  // Lets all connected workers react until nothing moves.
  void Settle();

  // Moves the clock in steps in which connected workers renew their leases and
  // the background duties run.
  void Advance(absl::Duration by);
  // Only the duties.
  void RunDuties();

  // kill -9 of the coordinator and a new start. Workers are disconnected.
  void RestartCoordinator();
  // Connects all disconnected workers.
  void ReconnectAll();

  v1::Job Get(const std::string& name);
  v1::JobState StateOf(const std::string& name) { return Get(name).state(); }

  // Every event of a watch that can be had without waiting.
  std::vector<v1::JobEvent> Watch(const std::string& name,
                                  const std::string& token = "");

  coordinator::Core& core() { return *core_; }
  FakeClock& clock() { return clock_; }
  MemoryJournal& journal() { return journal_; }
  MetricRegistry& metrics() { return metrics_; }
  std::vector<std::unique_ptr<FakeWorker>>& workers() { return workers_; }

 private:
  void Start();

  FakeClock clock_;
  MemoryJournal journal_;
  MetricRegistry metrics_;
  std::string log_directory_;
  coordinator::CoreOptions options_;
  std::unique_ptr<coordinator::LogStore> logs_;
  std::unique_ptr<coordinator::Core> core_;
  std::vector<std::unique_ptr<FakeWorker>> workers_;
};

}  // namespace longspan::testing
