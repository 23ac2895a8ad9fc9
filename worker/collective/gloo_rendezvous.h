// Our rendezvous store in the shape that Gloo asks for, and the call that
// connects a mesh through it; the only file that depends on Gloo's version.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "worker/collective/gloo_group.h"
#include "worker/collective/rendezvous_store.h"

namespace gloo {
class Context;
}

namespace longspan::worker {

// Blocks until this rank is connected to all others, at most about `timeout`.
absl::StatusOr<std::shared_ptr<gloo::Context>> ConnectGloo(
    const GlooGroupOptions& options, RendezvousStore& store,
    absl::Duration timeout);

}  // namespace longspan::worker
