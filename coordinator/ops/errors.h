// Errors as the API documents them: a Status with google.rpc.ErrorInfo (domain
// "longspan") and, for bad specs, google.rpc.BadRequest. Payloads travel to
// the client unchanged (common/rpc/status.h).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

namespace longspan::coordinator {

// Field path and what is wrong with it.
struct FieldViolation {
  std::string field;
  std::string description;
};

using ErrorMetadata = std::vector<std::pair<std::string, std::string>>;

// `reason` is UPPER_SNAKE_CASE. A status that has a reason keeps it.
absl::Status WithReason(absl::Status status, const std::string& reason,
                        const ErrorMetadata& metadata = {});

// InvalidArgument with reason `reason`; the message lists every violation, one
// a line, the payload as many as fit into 3 KB.
absl::Status BadRequest(const std::string& reason,
                        const std::vector<FieldViolation>& violations);

absl::Status JobNotFound(const std::string& name);

}  // namespace longspan::coordinator
