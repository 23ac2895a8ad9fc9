#include "common/rpc/status.h"

#include <grpcpp/support/status.h>

#include "absl/strings/cord.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace longspan {
namespace {

constexpr char kErrorInfoUrl[] = "type.googleapis.com/google.rpc.ErrorInfo";
constexpr char kBadRequestUrl[] = "type.googleapis.com/google.rpc.BadRequest";
constexpr size_t kMaxMessageBytes = 1500;
constexpr size_t kMaxDetailBytes = 4000;

std::string Shorten(std::string text, size_t limit) {
  if (text.size() <= limit) return text;
  while (limit > 0 && (text[limit] & 0xc0) == 0x80) --limit;  // whole UTF-8
  text.resize(limit);
  return text + "...";
}

// Drops the last violations until everything fits.
void ShortenViolations(google::rpc::Status& details) {
  for (auto& any : *details.mutable_details()) {
    google::rpc::BadRequest request;
    if (any.type_url() != kBadRequestUrl ||
        !request.ParseFromString(any.value())) {
      continue;
    }
    while (details.ByteSizeLong() > kMaxDetailBytes &&
           request.field_violations_size() > 0) {
      request.mutable_field_violations()->RemoveLast();
      any.set_value(request.SerializeAsString());
    }
  }
}

google::rpc::Status DetailsOf(const absl::Status& status,
                              const std::string& message) {
  google::rpc::Status details;
  details.set_code(static_cast<int>(status.code()));
  details.set_message(message);
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    auto& any = *details.add_details();
    any.set_type_url(std::string(url));
    any.set_value(std::string(payload));
  });
  ShortenViolations(details);
  if (details.ByteSizeLong() > kMaxDetailBytes) details.clear_details();
  return details;
}

template <typename T>
bool ReadPayload(const absl::Status& status, const char* url, T* message) {
  const auto payload = status.GetPayload(url);
  return payload && message->ParseFromString(std::string(*payload));
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const std::string message =
      Shorten(std::string(status.message()), kMaxMessageBytes);
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), message,
                      DetailsOf(status, message).SerializeAsString());
}

absl::Status FromGrpcStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()),
                      status.error_message());
  google::rpc::Status details;
  if (!details.ParseFromString(status.error_details())) return result;
  for (const auto& any : details.details()) {
    result.SetPayload(any.type_url(), absl::Cord(any.value()));
  }
  return result;
}

std::string ErrorReason(const absl::Status& status) {
  google::rpc::ErrorInfo info;
  return ReadPayload(status, kErrorInfoUrl, &info) ? info.reason() : "";
}

std::string ErrorMetadata(const absl::Status& status, const std::string& key) {
  google::rpc::ErrorInfo info;
  if (!ReadPayload(status, kErrorInfoUrl, &info)) return "";
  auto found = info.metadata().find(key);
  return found == info.metadata().end() ? "" : found->second;
}

std::vector<std::pair<std::string, std::string>> ErrorViolations(
    const absl::Status& status) {
  std::vector<std::pair<std::string, std::string>> violations;
  google::rpc::BadRequest request;
  if (!ReadPayload(status, kBadRequestUrl, &request)) return violations;
  for (const auto& violation : request.field_violations()) {
    violations.emplace_back(violation.field(), violation.description());
  }
  return violations;
}

}  // namespace longspan
