#include "worker/executor/agent_rendezvous.h"

#include "absl/strings/str_cat.h"
#include "longspan/internal/executor.pb.h"
#include "worker/executor/proto_time.h"

namespace longspan::worker {

absl::StatusOr<std::string> AgentRendezvous::Ask(
    internal::FromExecutor& message, const std::string& key,
    absl::Duration timeout) {
  const int64_t id = link_.replies().Open();
  v1::RendezvousRequest& request = *message.mutable_rendezvous();
  *request.mutable_key() = assignment_.key();
  request.set_rank(assignment_.rank());
  request.set_id(id);
  link_.Send(message);
  absl::StatusOr<std::string> value = link_.replies().Wait(id, timeout);
  if (value.ok()) return value;
  return absl::Status(
      value.status().code(),
      absl::StrCat("rendezvous key ", key, ": ", value.status().message()));
}

absl::Status AgentRendezvous::Set(const std::string& key,
                                  const std::string& value) {
  internal::FromExecutor message;
  v1::RendezvousSet& set = *message.mutable_rendezvous()->mutable_set();
  set.set_key(key);
  set.set_value(value);
  return Ask(message, key, ReadDuration(assignment_.rendezvous_timeout()))
      .status();
}

absl::StatusOr<std::string> AgentRendezvous::Get(const std::string& key,
                                                 absl::Duration timeout) {
  internal::FromExecutor message;
  message.mutable_rendezvous()->set_get(key);
  return Ask(message, key, timeout);
}

void AgentRendezvous::Abort() {
  link_.replies().FailAll(absl::AbortedError("rendezvous aborted"));
}

}  // namespace longspan::worker
