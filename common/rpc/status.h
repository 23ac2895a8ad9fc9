// absl::Status <-> grpc::Status, with google.rpc details.
//
// Payloads of an absl::Status (type URL -> serialized message) travel as
// google.rpc.Status details, so ErrorInfo and BadRequest arrive as they left.
// Message and details together stay under 4 KB: above 8 KB gRPC would replace
// the whole status.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

namespace grpc {
class Status;
}  // namespace grpc

namespace longspan {

grpc::Status ToGrpcStatus(const absl::Status& status);
absl::Status FromGrpcStatus(const grpc::Status& status);

// ErrorInfo.reason, or "".
std::string ErrorReason(const absl::Status& status);

// One value of ErrorInfo.metadata, or "".
std::string ErrorMetadata(const absl::Status& status, const std::string& key);

// BadRequest's (field, description) pairs.
std::vector<std::pair<std::string, std::string>> ErrorViolations(
    const absl::Status& status);

}  // namespace longspan
