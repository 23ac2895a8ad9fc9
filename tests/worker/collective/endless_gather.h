// A rank that AllGathers until its group fails.
#pragma once

#include <functional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "worker/collective/gloo_group.h"

namespace longspan::worker {

GlooGroupOptions TestGroupOptions(int rank, int size);

// Joins a group and gathers `bytes` per rank again and again. Returns the first
// error. `after_each` is called with the number of gathers done.
absl::Status GatherUntilError(
    RendezvousStore& store, int rank, int size, absl::Duration timeout,
    int64_t bytes,
    const std::function<void(int64_t)>& after_each = [](int64_t) {});

}  // namespace longspan::worker
