// The agent: what a worker daemon decides. It answers the coordinator's
// messages, keeps one executor per placed rank, and passes reports, tokens,
// logs and rendezvous between the two.
//
// A coordinator that cannot be reached changes nothing for the executors until
// detached_timeout has passed; then they are asked to checkpoint and stop. An
// executor that ends, for whatever reason, is reported once its process is
// gone, and reported again in every session until a StopAttempt of its attempt
// (or a refusal) acknowledges it.
//
// Owns no thread: every method is called by the event loop's thread, and
// everything it waits for comes back as a call.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/log/log.h"
#include "longspan/internal/executor.pb.h"
#include "longspan/v1/worker_service.pb.h"
#include "worker/agent/coordinator_link.h"
#include "worker/agent/event_loop.h"
#include "worker/agent/executor_metrics.h"
#include "worker/agent/rank_table.h"
#include "worker/agent/state_directory.h"

namespace longspan::worker {

struct AgentOptions {
  std::string name;
  v1::WorkerInfo info;
  std::string executor_program;
  std::map<std::string, std::string> roots;  // name -> directory
  std::vector<std::string> environment;      // of the executors
  LogFormat log_format = LogFormat::kText;   // of the executors

  absl::Duration metric_interval = absl::Seconds(1);
  // A coordinator that takes the stream but does not answer is given up.
  absl::Duration registration_timeout = absl::Seconds(10);
  // Used until the coordinator says otherwise.
  absl::Duration detached_timeout = absl::Minutes(10);
  // From asking an executor to stop until it is killed: while draining or
  // detached, and when the coordinator has given its attempt up.
  absl::Duration stop_grace = absl::Seconds(30);
  absl::Duration unwanted_grace = absl::Seconds(5);
  // An executor that has sent its result should end by itself within this.
  absl::Duration exit_grace = absl::Seconds(5);
};

class Agent {
 public:
  // The pointers outlive the agent. `state` remembers executors.
  Agent(AgentOptions options, EventLoop* loop, CoordinatorLink* link,
        const StateDirectory* state, ExecutorMetrics* metrics);

  // From the link.
  void OnSession();
  void OnMessage(const v1::CoordinatorMessage& message);
  void OnSessionEnd(const absl::Status& reason);

  // Takes no more work and stops all executors; calls `drained` when the last
  // one is gone. The second call stops them at once.
  void Drain(const std::string& reason, std::function<void()> drained);

 private:
  using TimePoint = std::chrono::steady_clock::time_point;

  // Coordinator's messages.
  void OnRegistered(const v1::Registered& registered);
  void OnAssignment(const v1::Assignment& assignment);
  void OnStart(const v1::StartAttempt& start);
  void OnStop(const v1::StopAttempt& stop);
  void OnRendezvousReply(const v1::RendezvousReply& reply);
  void OnRefused(const v1::Refused& refused);

  // Executors' messages and ends.
  void OnExecutorFrame(const RankKey& key, const std::string& frame);
  void OnExecutorMessage(RankRecord* rank, internal::FromExecutor message);
  void OnPrepared(RankRecord* rank, const internal::Prepared& prepared);
  void OnFinished(RankRecord* rank, const internal::Finished& finished);
  void OnExecutorExit(const RankKey& key, int wait_status);

  // Ranks.
  std::string WhyNot(const v1::Assignment& assignment);
  void Launch(RankRecord* rank);
  void LaunchWaiterOf(int slot);
  void StartRank(RankRecord* rank);
  void StopRank(RankRecord* rank, const std::string& reason,
                absl::Duration grace);
  void SetFinalStatus(RankRecord* rank, int wait_status);
  void EndWithoutProcess(RankRecord* rank, v1::AssignmentStatus::State state,
                         absl::StatusCode code, const std::string& error);
  void SendStatus(const RankRecord& rank);
  void SendRendezvous(const v1::RendezvousRequest& request);

  // Lease and time.
  v1::WorkerMessage Registration();
  void RenewLease(int64_t session);
  void CheckDetached();
  absl::Duration SinceContact() const;
  void FinishDrain();

  // Immutable after construction.
  const AgentOptions options_;
  const std::string incarnation_;
  EventLoop* const loop_;
  CoordinatorLink* const link_;
  const StateDirectory* const state_;
  ExecutorMetrics* const metrics_;

  RankTable ranks_;
  int64_t session_ = 0;  // counts sessions
  bool registered_ = false;
  std::string last_session_end_;  // what has been logged
  int64_t lease_sequence_ = 0;
  TimePoint last_contact_;
  absl::Duration lease_ = absl::Seconds(30);
  absl::Duration renew_interval_ = absl::Seconds(10);
  absl::Duration detached_timeout_;
  bool detached_ = false;
  bool draining_ = false;
  std::function<void()> drained_;
};

}  // namespace longspan::worker
