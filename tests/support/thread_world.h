// Runs multi-rank code with ranks as threads of this process.
//
//   EXPECT_TRUE(RunThreadWorld(3, [](worker::ProcessGroup& group) {
//     return Step(group);
//   }).ok());
#pragma once

#include <functional>

#include "absl/status/status.h"
#include "worker/collective/process_group.h"

namespace longspan::testing {

// Calls `body` once per rank, each in its own thread. When one rank returns an
// error the groups of all ranks are aborted with it. Returns the first error.
absl::Status RunThreadWorld(
    int ranks, const std::function<absl::Status(worker::ProcessGroup&)>& body);

}  // namespace longspan::testing
