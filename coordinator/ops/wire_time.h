// absl's times <-> protobuf's.
#pragma once

#include "absl/time/time.h"

namespace google::protobuf {
class Duration;
class Timestamp;
}  // namespace google::protobuf

namespace longspan::coordinator {

// Finite times only.
void WriteTime(absl::Time from, google::protobuf::Timestamp* to);
absl::Time ReadTime(const google::protobuf::Timestamp& from);
void WriteDuration(absl::Duration from, google::protobuf::Duration* to);

}  // namespace longspan::coordinator
