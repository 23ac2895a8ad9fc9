#include "cli/report_error.h"

#include <grpcpp/support/status.h>

#include <iostream>

#include "absl/strings/str_cat.h"
#include "cli/client.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace longspan::cli {
namespace {

ExitCode CodeOf(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::OK:
      return ExitCode::kOk;
    case grpc::StatusCode::INVALID_ARGUMENT:
    case grpc::StatusCode::OUT_OF_RANGE:
    case grpc::StatusCode::UNIMPLEMENTED:
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return ExitCode::kUsage;
    case grpc::StatusCode::UNAVAILABLE:
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return ExitCode::kUnreachable;
    case grpc::StatusCode::NOT_FOUND:
      return ExitCode::kNotFound;
    case grpc::StatusCode::CANCELLED:
      return ExitCode::kCancelled;
    case grpc::StatusCode::ALREADY_EXISTS:
    case grpc::StatusCode::FAILED_PRECONDITION:
    case grpc::StatusCode::ABORTED:
      return ExitCode::kConflict;
    case grpc::StatusCode::UNAUTHENTICATED:
    case grpc::StatusCode::PERMISSION_DENIED:
      return ExitCode::kDenied;
    default:
      return ExitCode::kInternal;
  }
}

// Lines for google.rpc.BadRequest; empty when there is none.
std::string Violations(const grpc::Status& status) {
  google::rpc::Status rich;
  if (!rich.ParseFromString(status.error_details())) return "";
  std::string out;
  for (const auto& detail : rich.details()) {
    google::rpc::BadRequest bad;
    if (!detail.UnpackTo(&bad)) continue;
    for (const auto& violation : bad.field_violations()) {
      absl::StrAppend(&out, violation.field().empty() ? "" : violation.field(),
                      violation.field().empty() ? "" : ": ",
                      violation.description(), "\n");
    }
  }
  return out;
}

}  // namespace

ExitCode ReportCallError(const Client& client, const grpc::Status& status) {
  ExitCode code = CodeOf(status.error_code());
  std::string violations = Violations(status);
  if (!violations.empty()) {
    std::cerr << violations;
  } else if (code == ExitCode::kUnreachable) {
    std::cerr << "longspan: no coordinator answers at " << client.address()
              << " (" << status.error_message()
              << "); start one with 'longspan up', or set --coordinator or "
                 "LONGSPAN_COORDINATOR\n";
  } else {
    std::cerr << "longspan: " << status.error_message() << "\n";
  }
  return code;
}

ExitCode ReportError(const absl::Status& status) {
  std::cerr << "longspan: " << std::string(status.message()) << "\n";
  return status.code() == absl::StatusCode::kInvalidArgument
             ? ExitCode::kUsage
             : ExitCode::kInternal;
}

}  // namespace longspan::cli
