// Errors of calls and files, for people, with the exit code they mean.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "cli/exit_code.h"

namespace grpc {
class Status;
}  // namespace grpc

namespace longspan::cli {

class Client;

// Prints to stderr: one line per field violation when the server sent any
// ("job.yaml:3:5: train.steps: ..."), the message otherwise.
ExitCode ReportCallError(const Client& client, const grpc::Status& status);

// "longspan: <message>".
ExitCode ReportError(const absl::Status& status);

}  // namespace longspan::cli
