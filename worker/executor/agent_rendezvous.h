// The rendezvous store of a gang, reached through the agent and the
// coordinator. Thread-safe.
#pragma once

#include <string>

#include "worker/collective/rendezvous_store.h"
#include "worker/executor/agent_link.h"

namespace longspan::v1 {
class Assignment;
class RendezvousRequest;
}  // namespace longspan::v1

namespace longspan::worker {

class AgentRendezvous final : public RendezvousStore {
 public:
  // Both must outlive the store.
  AgentRendezvous(AgentLink& link, const v1::Assignment& assignment)
      : link_(link), assignment_(assignment) {}

  // Not answered: a key that gets lost shows in the others' deadline.
  absl::Status Set(const std::string& key, const std::string& value) override;
  absl::StatusOr<std::string> Get(const std::string& key,
                                  absl::Duration timeout) override;
  // For all stores of the link.
  void Abort() override;

 private:
  // The request with everything but its operation, in its message.
  v1::RendezvousRequest& Begin(internal::FromExecutor& message, int64_t id);

  AgentLink& link_;
  const v1::Assignment& assignment_;
};

}  // namespace longspan::worker
