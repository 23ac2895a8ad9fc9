// Durations and times of Abseil in protobuf's form.
#pragma once

#include "absl/time/time.h"

namespace google::protobuf {
class Duration;
class Timestamp;
}  // namespace google::protobuf

namespace longspan::worker {

void WriteDuration(absl::Duration from, google::protobuf::Duration* to);
void WriteTime(absl::Time from, google::protobuf::Timestamp* to);
absl::Duration ReadDuration(const google::protobuf::Duration& from);

}  // namespace longspan::worker
