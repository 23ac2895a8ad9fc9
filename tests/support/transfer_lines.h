// Planned and counted transfers in a form that tests compare.
#pragma once

#include <cstdint>
#include <vector>

#include "common/model_spec/communication_plan.h"
#include "worker/collective/process_group.h"

namespace longspan::testing {

// One line per tag: traffic, direction, layer, launches, bytes out and in.
using TransferLines = std::vector<std::vector<int64_t>>;

TransferLines Planned(const std::vector<PlannedTransfer>& transfers);
TransferLines Counted(const worker::TransferCounters& counters);

}  // namespace longspan::testing
