#include "common/job_spec/spec_node.h"

#include <string>

#include "absl/strings/str_cat.h"

namespace longspan {

std::string Describe(const SpecNode& node) {
  switch (node.kind) {
    case SpecNode::Kind::kNull:
      return "nothing";
    case SpecNode::Kind::kList:
      return "a list";
    case SpecNode::Kind::kMap:
      return "a map";
    case SpecNode::Kind::kString:
      return absl::StrCat("the text '", node.text, "'");
    default:
      return absl::StrCat("'", node.text, "'");
  }
}

}  // namespace longspan
