// The rendezvous store of a gang, reached through the agent and the
// coordinator. Thread-safe.
#pragma once

#include <string>

#include "worker/collective/rendezvous_store.h"
#include "worker/executor/agent_link.h"

namespace longspan::v1 {
class Assignment;
}  // namespace longspan::v1

namespace longspan::worker {

class AgentRendezvous final : public RendezvousStore {
 public:
  // Both must outlive the store.
  AgentRendezvous(AgentLink& link, const v1::Assignment& assignment)
      : link_(link), assignment_(assignment) {}

  // Waits until the coordinator has it, for as long as the assignment says.
  absl::Status Set(const std::string& key, const std::string& value) override;
  absl::StatusOr<std::string> Get(const std::string& key,
                                  absl::Duration timeout) override;
  // For all stores of the link.
  void Abort() override;

 private:
  // Completes the request in `message`, sends it and waits for the answer.
  absl::StatusOr<std::string> Ask(internal::FromExecutor& message,
                                  const std::string& key,
                                  absl::Duration timeout);

  AgentLink& link_;
  const v1::Assignment& assignment_;
};

}  // namespace longspan::worker
