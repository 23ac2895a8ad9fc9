#include "worker/executor/agent_rendezvous.h"

#include "absl/strings/str_cat.h"
#include "longspan/internal/executor.pb.h"

namespace longspan::worker {

v1::RendezvousRequest& AgentRendezvous::Begin(internal::FromExecutor& message,
                                              int64_t id) {
  v1::RendezvousRequest& request = *message.mutable_rendezvous();
  *request.mutable_key() = assignment_.key();
  request.set_rank(assignment_.rank());
  request.set_id(id);
  return request;
}

absl::Status AgentRendezvous::Set(const std::string& key,
                                  const std::string& value) {
  internal::FromExecutor message;
  v1::RendezvousSet& set = *Begin(message, 0).mutable_set();
  set.set_key(key);
  set.set_value(value);
  link_.Send(message);
  return absl::OkStatus();
}

absl::StatusOr<std::string> AgentRendezvous::Get(const std::string& key,
                                                 absl::Duration timeout) {
  const int64_t id = link_.replies().Open();
  internal::FromExecutor message;
  Begin(message, id).set_get(key);
  link_.Send(message);
  absl::StatusOr<std::string> value = link_.replies().Wait(id, timeout);
  if (value.ok()) return value;
  return absl::Status(
      value.status().code(),
      absl::StrCat("rendezvous key ", key, ": ", value.status().message()));
}

void AgentRendezvous::Abort() {
  link_.replies().FailAll(absl::AbortedError("rendezvous aborted"));
}

}  // namespace longspan::worker
