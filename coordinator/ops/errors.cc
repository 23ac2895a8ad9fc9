#include "coordinator/ops/errors.h"

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"

namespace longspan::coordinator {
namespace {

constexpr char kErrorInfoUrl[] = "type.googleapis.com/google.rpc.ErrorInfo";
constexpr char kBadRequestUrl[] = "type.googleapis.com/google.rpc.BadRequest";
// Trailing metadata above 8 KB replaces the status; details stay under 4 KB.
constexpr size_t kMaxViolationBytes = 3 << 10;
constexpr size_t kMaxMessageBytes = 3 << 10;

std::string Shorten(std::string text, size_t limit) {
  if (text.size() <= limit) return text;
  while (limit > 0 && (text[limit] & 0xc0) == 0x80) --limit;  // whole UTF-8
  text.resize(limit);
  return text + "...";
}

std::string ViolationsText(const std::vector<FieldViolation>& violations) {
  std::string text;
  for (const FieldViolation& violation : violations) {
    absl::StrAppend(
        &text, text.empty() ? "" : "\n",
        violation.field.empty()
            ? violation.description
            : absl::StrCat(violation.field, ": ", violation.description));
  }
  return Shorten(std::move(text), kMaxMessageBytes);
}

google::rpc::BadRequest ViolationsMessage(
    const std::vector<FieldViolation>& violations) {
  google::rpc::BadRequest message;
  size_t bytes = 0;
  for (const FieldViolation& violation : violations) {
    bytes += violation.field.size() + violation.description.size() + 16;
    if (bytes > kMaxViolationBytes) break;
    auto* out = message.add_field_violations();
    out->set_field(violation.field);
    out->set_description(violation.description);
  }
  return message;
}

}  // namespace

absl::Status WithReason(absl::Status status, const std::string& reason,
                        const ErrorMetadata& metadata) {
  if (status.ok() || status.GetPayload(kErrorInfoUrl)) return status;
  google::rpc::ErrorInfo info;
  info.set_reason(reason);
  info.set_domain("longspan");
  for (const auto& [key, value] : metadata) {
    (*info.mutable_metadata())[key] = Shorten(value, 256);
  }
  status.SetPayload(kErrorInfoUrl, absl::Cord(info.SerializeAsString()));
  return status;
}

absl::Status BadRequest(const std::string& reason,
                        const std::vector<FieldViolation>& violations) {
  absl::Status status = absl::InvalidArgumentError(ViolationsText(violations));
  status.SetPayload(
      kBadRequestUrl,
      absl::Cord(ViolationsMessage(violations).SerializeAsString()));
  return WithReason(std::move(status), reason,
                    {{"violations", absl::StrCat(violations.size())}});
}

absl::Status JobNotFound(const std::string& name) {
  return WithReason(absl::NotFoundError(absl::StrCat("there is no job ", name)),
                    "JOB_NOT_FOUND", {{"job", name}});
}

}  // namespace longspan::coordinator
