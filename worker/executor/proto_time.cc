#include "worker/executor/proto_time.h"

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>

namespace longspan::worker {

void WriteDuration(absl::Duration from, google::protobuf::Duration* to) {
  to->set_seconds(absl::IDivDuration(from, absl::Seconds(1), &from));
  to->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(from)));
}

void WriteTime(absl::Time from, google::protobuf::Timestamp* to) {
  absl::Duration since = from - absl::UnixEpoch();
  to->set_seconds(absl::IDivDuration(since, absl::Seconds(1), &since));
  to->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(since)));
}

absl::Duration ReadDuration(const google::protobuf::Duration& from) {
  return absl::Seconds(from.seconds()) + absl::Nanoseconds(from.nanos());
}

}  // namespace longspan::worker
