// The life of an executor, from its assignment to its result.
#pragma once

#include "absl/status/status.h"
#include "worker/executor/agent_link.h"

namespace longspan::worker {

// Waits for the assignment, assembles the rank and its job, reports Prepared,
// waits for Start, runs, and sends Finished. Returns what Finished said. The
// link's stop request ends the job gracefully.
absl::Status RunExecutor(AgentLink& link);

}  // namespace longspan::worker
