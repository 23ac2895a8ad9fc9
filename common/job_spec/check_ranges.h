// Single numbers against the table of field_rules.h.
#pragma once

#include <string>
#include <vector>

#include "common/job_spec/violation.h"

namespace google::protobuf {
class Message;
}  // namespace google::protobuf

namespace longspan {

// Appends a violation for every number of `message` and the messages in it
// that is out of its range. `path` is the message's own.
void CheckRanges(const google::protobuf::Message& message,
                 const std::string& path,
                 std::vector<SpecViolation>* violations);

}  // namespace longspan
