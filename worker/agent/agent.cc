#include "worker/agent/agent.h"

#include <signal.h>

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/log/log.h"
#include "worker/agent/executor_environment.h"

namespace longspan::worker {
namespace {

using State = v1::AssignmentStatus;
using SteadyClock = std::chrono::steady_clock;

std::string NewIncarnation() {
  std::random_device random;
  return absl::StrFormat("%08x%08x%08x%08x", random(), random(), random(),
                         random());
}

absl::Duration ToDuration(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) +
         absl::Nanoseconds(duration.nanos());
}

void SetDuration(absl::Duration from, google::protobuf::Duration* to) {
  to->set_seconds(absl::ToInt64Seconds(from));
  to->set_nanos(static_cast<int>(
      absl::ToInt64Nanoseconds(from - absl::Seconds(to->seconds()))));
}

RankKey KeyOf(const v1::RunningRank& rank) {
  return RankKey(rank.key(), rank.rank());
}

}  // namespace

Agent::Agent(AgentOptions options, EventLoop* loop, CoordinatorLink* link,
             const StateDirectory* state, ExecutorMetrics* metrics)
    : options_(std::move(options)),
      incarnation_(NewIncarnation()),
      loop_(loop),
      link_(link),
      state_(state),
      metrics_(metrics),
      last_contact_(SteadyClock::now()),
      detached_timeout_(options_.detached_timeout) {
  loop_->Post([this] { CheckDetached(); });
}

// --- The session with the coordinator ---------------------------------------

v1::WorkerMessage Agent::Registration() {
  v1::WorkerMessage message;
  v1::Register* registration = message.mutable_register_();
  registration->set_worker(options_.name);
  *registration->mutable_info() = options_.info;
  registration->set_incarnation(incarnation_);
  for (const RankRecord* rank : ranks_.All()) {
    v1::RunningRank* running = registration->add_running();
    *running->mutable_key() = rank->key.attempt_key();
    running->set_rank(rank->key.rank);
    running->set_slot(rank->slot());
  }
  return message;
}

void Agent::OnSession() {
  const int64_t session = ++session_;
  link_->BeginSession(Registration());
  loop_->After(options_.registration_timeout, [=, this] {
    if (session == session_ && !registered_) link_->Reconnect();
  });
}

void Agent::OnSessionEnd(const absl::Status& reason) {
  registered_ = false;
  ++session_;
  const std::string words =
      absl::StrCat(absl::StatusCodeToString(reason.code()), ": ",
                   std::string(reason.message()));
  if (draining_ || words == last_session_end_) return;
  last_session_end_ = words;
  LogWarning("no session with the coordinator; dialling until there is one",
             {{"reason", words}});
}

void Agent::OnMessage(const v1::CoordinatorMessage& message) {
  last_contact_ = SteadyClock::now();
  switch (message.message_case()) {
    case v1::CoordinatorMessage::kRegistered:
      return OnRegistered(message.registered());
    case v1::CoordinatorMessage::kLeaseRenewed:
      return;
    case v1::CoordinatorMessage::kAssignment:
      return OnAssignment(message.assignment());
    case v1::CoordinatorMessage::kStart:
      return OnStart(message.start());
    case v1::CoordinatorMessage::kStop:
      return OnStop(message.stop());
    case v1::CoordinatorMessage::kRendezvous:
      return OnRendezvousReply(message.rendezvous());
    case v1::CoordinatorMessage::kRefused:
      return OnRefused(message.refused());
    case v1::CoordinatorMessage::MESSAGE_NOT_SET:
      LogWarning("unknown message from the coordinator; is it newer?");
  }
}

void Agent::OnRegistered(const v1::Registered& registered) {
  registered_ = true;
  detached_ = false;
  last_session_end_.clear();
  if (registered.has_lease()) lease_ = ToDuration(registered.lease());
  if (registered.has_renew_interval()) {
    renew_interval_ = std::max(ToDuration(registered.renew_interval()),
                               absl::Milliseconds(10));
  }
  if (registered.has_detached_timeout()) {
    detached_timeout_ = ToDuration(registered.detached_timeout());
  }
  LogInfo("registered with the coordinator",
          {{"worker", options_.name},
           {"slots", options_.info.devices_size()},
           {"lease", absl::FormatDuration(lease_)}});
  for (const v1::RunningRank& unwanted : registered.stop()) {
    if (RankRecord* rank = ranks_.Find(KeyOf(unwanted))) {
      StopRank(rank, "the coordinator no longer wants it",
               options_.unwanted_grace);
    }
  }
  for (const RankRecord* rank : ranks_.All()) {
    SendStatus(*rank);
    for (const auto& [id, request] : rank->rendezvous) SendRendezvous(request);
  }
  RenewLease(session_);
}

// --- Lease and time ----------------------------------------------------------

void Agent::RenewLease(int64_t session) {
  if (session != session_ || !registered_) return;
  if (SinceContact() > lease_) {
    LogWarning("the coordinator has been silent for a lease; dialling again");
    link_->Reconnect();
    return;
  }
  v1::WorkerMessage message;
  message.mutable_renew_lease()->set_sequence(++lease_sequence_);
  link_->Send(Urgency::kLease, std::move(message), "lease");
  loop_->After(renew_interval_, [=, this] { RenewLease(session); });
}

absl::Duration Agent::SinceContact() const {
  return absl::FromChrono(SteadyClock::now() - last_contact_);
}

void Agent::CheckDetached() {
  const absl::Duration period = std::clamp(
      detached_timeout_ / 10, absl::Milliseconds(10), absl::Seconds(1));
  loop_->After(period, [this] { CheckDetached(); });
  if (detached_ || SinceContact() < detached_timeout_) return;
  detached_ = true;
  const std::string reason = absl::StrCat(
      "no coordinator for ", absl::FormatDuration(detached_timeout_));
  for (RankRecord* rank : ranks_.All()) {
    if (rank->process == nullptr) continue;
    LogWarning("detached: stopping executor", {{"job", rank->key.job},
                                               {"attempt", rank->key.attempt},
                                               {"rank", rank->key.rank},
                                               {"reason", reason}});
    StopRank(rank, reason, options_.stop_grace);
  }
}

void Agent::Drain(const std::string& reason, std::function<void()> drained) {
  const absl::Duration grace =
      draining_ ? absl::ZeroDuration() : options_.stop_grace;
  draining_ = true;
  drained_ = std::move(drained);
  v1::WorkerMessage message;
  message.mutable_draining()->set_reason(reason);
  link_->Send(Urgency::kControl, std::move(message), "draining");
  for (RankRecord* rank : ranks_.All()) StopRank(rank, reason, grace);
  FinishDrain();
}

void Agent::FinishDrain() {
  if (!draining_ || ranks_.running_processes() > 0) return;
  if (drained_) std::exchange(drained_, nullptr)();
}

// --- What the coordinator asks
// -------------------------------------------------

// Empty if the rank may be placed now or as soon as its slot is free.
std::string Agent::WhyNot(const v1::Assignment& assignment) {
  const int slots = options_.info.devices_size();
  if (draining_) return "the worker is draining";
  if (assignment.slot() < 0 || assignment.slot() >= slots) {
    return absl::StrCat("slot ", assignment.slot(), " is outside [0, ", slots,
                        ")");
  }
  const RankRecord* holder = ranks_.HolderOf(assignment.slot());
  if (holder == nullptr || holder->stop_requested ||
      holder->finished.has_value()) {
    return "";
  }
  return absl::StrCat("slot ", assignment.slot(), " is in use by ",
                      holder->key.ToString());
}

void Agent::OnAssignment(const v1::Assignment& assignment) {
  const RankKey key(assignment.key(), assignment.rank());
  if (!ranks_.Admit(assignment.key())) {
    LogWarning("stale assignment refused", {{"job", key.job},
                                            {"attempt", key.attempt},
                                            {"epoch", key.epoch},
                                            {"rank", key.rank}});
    return;
  }
  if (const RankRecord* known = ranks_.Find(key)) return SendStatus(*known);
  for (RankRecord* older : ranks_.OlderThan(assignment.key())) {
    StopRank(older, absl::StrCat("superseded by ", key.ToString()),
             options_.unwanted_grace);
  }
  const std::string refusal = WhyNot(assignment);
  RankRecord* rank = ranks_.Add(assignment);
  if (!refusal.empty()) {
    EndWithoutProcess(rank, State::FAILED,
                      absl::StatusCode::kFailedPrecondition, refusal);
  } else if (ranks_.HolderOf(assignment.slot()) == nullptr) {
    Launch(rank);
  }
}

void Agent::OnStart(const v1::StartAttempt& start) {
  for (RankRecord* rank : ranks_.OfAttempt(start.key())) {
    rank->start_requested = true;
    if (rank->status.state() == State::PREPARED) StartRank(rank);
  }
}

void Agent::OnStop(const v1::StopAttempt& stop) {
  for (RankRecord* rank : ranks_.OfAttempt(stop.key())) {
    if (rank->ended()) {
      ranks_.Remove(rank->key);
    } else {
      StopRank(rank, stop.reason(), ToDuration(stop.grace()));
    }
  }
}

void Agent::OnRendezvousReply(const v1::RendezvousReply& reply) {
  RankRecord* rank = ranks_.Find(RankKey(reply.key(), reply.rank()));
  if (rank == nullptr || rank->rendezvous.erase(reply.id()) == 0) return;
  if (rank->process == nullptr) return;
  internal::ToExecutor message;
  *message.mutable_rendezvous() = reply;
  rank->process->Send(message.SerializeAsString());
}

void Agent::OnRefused(const v1::Refused& refused) {
  LogWarning("the coordinator refuses",
             {{"reason", refused.reason()}, {"message", refused.message()}});
  for (RankRecord* rank : ranks_.OfAttempt(refused.key())) {
    if (rank->ended()) {
      ranks_.Remove(rank->key);
    } else {
      StopRank(rank, refused.reason(), options_.unwanted_grace);
    }
  }
}

// --- What executors say
// ----------------------------------------------------------

void Agent::OnExecutorFrame(const RankKey& key, const std::string& frame) {
  RankRecord* rank = ranks_.Find(key);
  if (rank == nullptr) return;
  internal::FromExecutor message;
  if (!message.ParseFromString(frame)) {
    LogError("unreadable message from an executor", {{"job", key.job},
                                                     {"attempt", key.attempt},
                                                     {"rank", key.rank},
                                                     {"bytes", frame.size()}});
    return;
  }
  OnExecutorMessage(rank, std::move(message));
}

void Agent::OnExecutorMessage(RankRecord* rank,
                              internal::FromExecutor message) {
  const v1::AttemptKey key = rank->key.attempt_key();
  v1::WorkerMessage out;
  switch (message.message_case()) {
    case internal::FromExecutor::kPrepared:
      return OnPrepared(rank, message.prepared());
    case internal::FromExecutor::kFinished:
      return OnFinished(rank, message.finished());
    case internal::FromExecutor::kMetrics:
      return metrics_->Record(rank->key.job, message.metrics());
    case internal::FromExecutor::kRendezvous: {
      v1::RendezvousRequest request = message.rendezvous();
      *request.mutable_key() = key;
      request.set_rank(rank->key.rank);
      rank->rendezvous[request.id()] = request;
      return SendRendezvous(request);
    }
    case internal::FromExecutor::kProgress:
      *out.mutable_rank_report()->mutable_key() = key;
      out.mutable_rank_report()->set_rank(rank->key.rank);
      *out.mutable_rank_report()->mutable_progress() = message.progress();
      return link_->Send(Urgency::kReport, std::move(out),
                         rank->key.ToString());
    case internal::FromExecutor::kTokens:
      *out.mutable_tokens() = message.tokens();
      *out.mutable_tokens()->mutable_key() = key;
      return link_->Send(Urgency::kTokens, std::move(out));
    case internal::FromExecutor::kLog:
      *out.mutable_log()->mutable_key() = key;
      out.mutable_log()->set_rank(rank->key.rank);
      out.mutable_log()->set_data(message.log().data());
      return link_->Send(Urgency::kLog, std::move(out));
    case internal::FromExecutor::MESSAGE_NOT_SET:
      LogWarning("empty message from an executor",
                 {{"job", rank->key.job},
                  {"attempt", rank->key.attempt},
                  {"rank", rank->key.rank}});
  }
}

void Agent::OnPrepared(RankRecord* rank, const internal::Prepared& prepared) {
  rank->status.set_state(State::PREPARED);
  rank->status.set_resumed_step(prepared.resumed_step());
  SendStatus(*rank);
  if (rank->start_requested) StartRank(rank);
}

void Agent::OnFinished(RankRecord* rank, const internal::Finished& finished) {
  rank->finished = finished;
  const RankKey key = rank->key;
  loop_->After(options_.exit_grace, [this, key] {
    RankRecord* late = ranks_.Find(key);
    if (late != nullptr && late->process != nullptr) {
      late->process->Signal(SIGKILL);
    }
  });
}

void Agent::OnExecutorExit(const RankKey& key, int wait_status) {
  RankRecord* rank = ranks_.Find(key);
  if (rank == nullptr || rank->process == nullptr) return;
  state_->ForgetExecutor(rank->process->pid());
  rank->process.reset();
  metrics_->OnExecutorEnd(key.job, key.rank);
  SetFinalStatus(rank, wait_status);
  SendStatus(*rank);
  LaunchWaiterOf(rank->slot());
  FinishDrain();
}

// --- Ranks
// ------------------------------------------------------------------------

void Agent::Launch(RankRecord* rank) {
  const RankKey key = rank->key;
  const v1::Assignment& assignment = rank->assignment;
  const ExecutorCommand command{
      options_.executor_program,
      {},
      ExecutorEnvironment(options_.environment, assignment.spec(),
                          options_.info, rank->slot())};
  auto process = ExecutorProcess::Start(
      command, {.on_frame =
                    [this, key](std::string frame) {
                      loop_->Post([this, key, frame = std::move(frame)] {
                        OnExecutorFrame(key, frame);
                      });
                    },
                .on_exit =
                    [this, key](int status) {
                      loop_->Post([=, this] { OnExecutorExit(key, status); });
                    }});
  if (!process.ok()) {
    EndWithoutProcess(rank, State::FAILED, process.status().code(),
                      std::string(process.status().message()));
    return;
  }
  rank->process = *std::move(process);
  metrics_->OnExecutorStart(key.job);
  const absl::Status remembered =
      state_->RememberExecutor(rank->process->pid());
  if (!remembered.ok()) {
    LogWarning("executor not recorded",
               {{"reason", std::string(remembered.message())}});
  }
  LogInfo("executor started", {{"job", key.job},
                               {"attempt", key.attempt},
                               {"rank", key.rank},
                               {"slot", rank->slot()},
                               {"pid", rank->process->pid()}});
  internal::ToExecutor message;
  internal::ExecutorAssignment* assign = message.mutable_assign();
  *assign->mutable_assignment() = assignment;
  assign->mutable_roots()->insert(options_.roots.begin(), options_.roots.end());
  const int threads = options_.info.devices(rank->slot()).threads();
  const int wanted = assignment.spec().resources().threads();
  assign->set_threads(wanted > 0 ? std::min(wanted, threads) : threads);
  assign->set_data_address(options_.info.data_address());
  SetDuration(options_.metric_interval, assign->mutable_metric_interval());
  assign->set_worker(options_.name);
  assign->set_json_log(options_.log_format == LogFormat::kJson);
  rank->process->Send(message.SerializeAsString());
}

void Agent::LaunchWaiterOf(int slot) {
  if (draining_ || ranks_.HolderOf(slot) != nullptr) return;
  if (RankRecord* waiter = ranks_.WaiterFor(slot)) Launch(waiter);
}

void Agent::StartRank(RankRecord* rank) {
  internal::ToExecutor message;
  message.mutable_start();
  rank->process->Send(message.SerializeAsString());
  rank->status.set_state(State::RUNNING);
  SendStatus(*rank);
}

void Agent::StopRank(RankRecord* rank, const std::string& reason,
                     absl::Duration grace) {
  if (rank->ended()) return;
  if (rank->process == nullptr) {
    EndWithoutProcess(rank, State::STOPPED, absl::StatusCode::kCancelled,
                      reason);
    return;
  }
  const RankKey key = rank->key;
  if (!rank->stop_requested) {
    rank->stop_requested = true;
    rank->stop_reason = reason;
    internal::ToExecutor message;
    message.mutable_stop()->set_reason(reason);
    rank->process->Send(message.SerializeAsString());
  }
  rank->process->Signal(grace > absl::ZeroDuration() ? SIGTERM : SIGKILL);
  loop_->After(grace, [this, key] {
    RankRecord* late = ranks_.Find(key);
    if (late != nullptr && late->process != nullptr) {
      late->process->Signal(SIGKILL);
    }
  });
}

void Agent::EndWithoutProcess(RankRecord* rank, State::State state,
                              absl::StatusCode code, const std::string& error) {
  rank->status.set_state(state);
  rank->status.set_error_code(static_cast<int>(code));
  rank->status.set_error(error);
  SendStatus(*rank);
}

void Agent::SetFinalStatus(RankRecord* rank, int wait_status) {
  State* status = &rank->status;
  if (rank->finished.has_value()) {
    status->set_error_code(rank->finished->code());
    status->set_error(rank->finished->error());
    *status->mutable_result() = rank->finished->result();
    status->set_state(rank->finished->code() == 0 ? State::SUCCEEDED
                      : rank->stop_requested      ? State::STOPPED
                                                  : State::FAILED);
  } else {
    const absl::StatusCode code = rank->stop_requested
                                      ? absl::StatusCode::kCancelled
                                      : absl::StatusCode::kUnavailable;
    status->set_error_code(static_cast<int>(code));
    status->set_error(absl::StrCat(
        "the executor ", DescribeExit(wait_status), " without a result",
        rank->stop_requested
            ? absl::StrCat("; asked to stop: ", rank->stop_reason)
            : ""));
    status->set_state(rank->stop_requested ? State::STOPPED : State::FAILED);
  }
  LogInfo("executor ended",
          {{"job", rank->key.job},
           {"attempt", rank->key.attempt},
           {"rank", rank->key.rank},
           {"state", v1::AssignmentStatus::State_Name(status->state())},
           {"error", status->error()}});
}

void Agent::SendStatus(const RankRecord& rank) {
  if (rank.status.state() == State::STATE_UNSPECIFIED) return;
  v1::WorkerMessage message;
  State* status = message.mutable_assignment_status();
  *status = rank.status;
  *status->mutable_key() = rank.key.attempt_key();
  status->set_rank(rank.key.rank);
  link_->Send(Urgency::kControl, std::move(message));
}

void Agent::SendRendezvous(const v1::RendezvousRequest& request) {
  v1::WorkerMessage message;
  *message.mutable_rendezvous() = request;
  link_->Send(Urgency::kControl, std::move(message));
}

}  // namespace longspan::worker
