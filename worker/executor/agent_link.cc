#include "worker/executor/agent_link.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "longspan/internal/executor.pb.h"

namespace longspan::worker {

using internal::ToExecutor;

AgentLink::AgentLink(UniqueFd socket, std::function<void(absl::Status)> on_lost)
    : on_lost_(std::move(on_lost)),
      loop_(std::move(socket),
            {.on_frame = [this](std::string frame) { return OnFrame(frame); },
             .on_end = [this](absl::Status reason) { OnEnd(reason); }}) {
  loop_.Start();
}

AgentLink::~AgentLink() = default;

absl::Status AgentLink::OnFrame(const std::string& frame) {
  ToExecutor message;
  if (!message.ParseFromString(frame)) {
    return absl::DataLossError(absl::StrCat(
        "agent socket: ", frame.size(), " bytes are not a ToExecutor message"));
  }
  return OnMessage(message);
}

absl::Status AgentLink::OnMessage(ToExecutor& message) {
  switch (message.message_case()) {
    case ToExecutor::kAssign: {
      MutexLock lock(mu_);
      if (assigned_) {
        return absl::FailedPreconditionError(
            "agent socket: a second assignment");
      }
      assigned_ = true;
      assignment_ = std::make_unique<internal::ExecutorAssignment>(
          std::move(*message.mutable_assign()));
      changed_.NotifyAll();
      return absl::OkStatus();
    }
    case ToExecutor::kStart: {
      MutexLock lock(mu_);
      started_ = true;
      changed_.NotifyAll();
      return absl::OkStatus();
    }
    case ToExecutor::kStop:
      RequestStop(message.stop().reason());
      return absl::OkStatus();
    case ToExecutor::kRendezvous: {
      v1::RendezvousReply& reply = *message.mutable_rendezvous();
      if (reply.error().empty()) {
        replies_.Deliver(reply.id(), std::move(*reply.mutable_value()));
      } else {
        replies_.Deliver(reply.id(), absl::UnavailableError(reply.error()));
      }
      return absl::OkStatus();
    }
    case ToExecutor::MESSAGE_NOT_SET:
      return absl::OkStatus();  // of a newer agent
  }
  return absl::OkStatus();
}

void AgentLink::OnEnd(absl::Status reason) {
  const absl::Status lost = absl::UnavailableError(
      absl::StrCat("lost the agent: ", reason.message()));
  replies_.FailAll(lost);
  {
    MutexLock lock(mu_);
    ended_ = lost;
    changed_.NotifyAll();
  }
  on_lost_(lost);
}

void AgentLink::RequestStop(const std::string& reason) {
  stop_.Request(reason);
  MutexLock lock(mu_);
  // A gang that has not met will not meet.
  if (!started_) replies_.FailAll(stop_.AsStatus());
  changed_.NotifyAll();
}

absl::Status AgentLink::WaitStatus() {
  if (!ended_.ok()) return ended_;
  if (stop_.requested()) return stop_.AsStatus();
  changed_.Wait(mu_);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<internal::ExecutorAssignment>>
AgentLink::AwaitAssignment() {
  MutexLock lock(mu_);
  while (assignment_ == nullptr) RETURN_IF_ERROR(WaitStatus());
  return std::move(assignment_);
}

absl::Status AgentLink::AwaitStart() {
  MutexLock lock(mu_);
  while (!started_) RETURN_IF_ERROR(WaitStatus());
  return absl::OkStatus();
}

void AgentLink::Send(const internal::FromExecutor& message) {
  loop_.outbox().Send(message.SerializeAsString());
}

void AgentLink::SendLatest(const internal::FromExecutor& message) {
  loop_.outbox().SendLatest(message.SerializeAsString());
}

bool AgentLink::TrySend(const internal::FromExecutor& message) {
  return loop_.outbox().TrySend(message.SerializeAsString());
}

absl::Status AgentLink::Flush() {
  return loop_.outbox().Flush(absl::Seconds(10));
}

}  // namespace longspan::worker
