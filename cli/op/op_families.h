// The descriptions of each op family, one file each.
#pragma once

#include <vector>

#include "cli/op/op_description.h"

namespace longspan::cli {

std::vector<OpDescription> LinearAttentionOps();

}  // namespace longspan::cli
