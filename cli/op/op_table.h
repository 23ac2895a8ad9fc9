// Every op that `longspan op` runs.
#pragma once

#include <string>
#include <vector>

#include "cli/op/op_description.h"

namespace longspan::cli {

const std::vector<OpDescription>& OpTable();

// Null for a name that is no op.
const OpDescription* FindOp(const std::string& name);

std::vector<std::string> OpNames();

}  // namespace longspan::cli
