// Follows a job to its end, across restarts of the coordinator, without a gap:
// every reconnection resumes after the last event that was seen.
#pragma once

#include <string>

#include "cli/exit_code.h"

namespace longspan::cli {

class Client;
class EventView;

// The exit code says how the job ended. Gives up with kUnreachable when no
// coordinator has answered for `reconnect_seconds`.
ExitCode WatchJob(const Client& client, const std::string& job,
                  std::string resume_token, double reconnect_seconds,
                  EventView* view);

}  // namespace longspan::cli
