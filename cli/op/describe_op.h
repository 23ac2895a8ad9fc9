// Descriptions of ops for people: `longspan op --list` and `op NAME --help`.
#pragma once

#include <string>

#include "cli/op/op_call.h"
#include "cli/op/op_description.h"

namespace longspan::cli {

// The equation, and the tensors that are read and written.
std::string DescribeOp(const OpDescription& op);

// Every op, with what the backends of this build run here. A place without a
// backend has a reason, which is printed in its stead.
struct ListedBackend {
  std::string name;
  OpPlace place;
  std::string reason;
};
std::string ListOps(const std::vector<ListedBackend>& backends);

}  // namespace longspan::cli
