#include "coordinator/ops/wire_time.h"

#include <cstdint>

#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"

namespace longspan::coordinator {

void WriteTime(absl::Time from, google::protobuf::Timestamp* to) {
  const int64_t micros = absl::ToUnixMicros(from);
  int64_t seconds = micros / 1000000;
  int64_t rest = micros % 1000000;
  if (rest < 0) {
    rest += 1000000;
    --seconds;
  }
  to->set_seconds(seconds);
  to->set_nanos(static_cast<int32_t>(rest * 1000));
}

absl::Time ReadTime(const google::protobuf::Timestamp& from) {
  return absl::FromUnixSeconds(from.seconds()) +
         absl::Nanoseconds(from.nanos());
}

void WriteDuration(absl::Duration from, google::protobuf::Duration* to) {
  const int64_t nanos = absl::ToInt64Nanoseconds(from);
  to->set_seconds(nanos / 1000000000);
  to->set_nanos(static_cast<int32_t>(nanos % 1000000000));
}

}  // namespace longspan::coordinator
