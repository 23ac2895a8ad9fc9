// Runs one op on named tensors: forward and, where gradients of outputs are
// among them, backward.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/op/named_tensor.h"
#include "cli/op/op_call.h"
#include "cli/op/op_description.h"

namespace longspan::cli {

struct OpRequest {
  const OpDescription* op = nullptr;
  // Only flags of the op, with values of their kinds.
  std::map<std::string, std::string> flags;
  // The type that operands are rounded to. None: that of the first one, and
  // the others must have it or be widened without rounding.
  std::optional<kernels::DType> dtype;
};

// What the op wrote, in the order of its description. kInvalidArgument names
// the tensor, what it is and what it must be; kUnimplemented is the backend's
// refusal.
absl::StatusOr<std::vector<OwnedTensor>> ExecuteOp(
    const OpRequest& request, const OpPlace& place,
    const std::vector<NamedTensor>& tensors);

}  // namespace longspan::cli
