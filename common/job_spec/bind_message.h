// A tree of text to a protobuf message, by reflection and strictly: every
// unknown key, wrong type, wrong unit and doubly set oneof is reported, all in
// one pass.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/job_spec/spec_node.h"
#include "common/job_spec/violation.h"

namespace google::protobuf {
class Message;
}  // namespace google::protobuf

namespace longspan {

struct BindResult {
  std::vector<SpecViolation> violations;
  // Where each path is set.
  std::map<std::string, SpecPosition> positions;
  // Paths that are wrong for a reported reason, including those that a
  // mistyped key was meant for: nothing more should be said about them.
  std::set<std::string> excused;
};

// Sets the fields of `message` that `root` gives rightly; others keep their
// values.
BindResult BindMessage(const SpecNode& root,
                       google::protobuf::Message* message);

}  // namespace longspan
