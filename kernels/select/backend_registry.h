// Creates a backend by kind. The only place that knows all backends; which of
// them a build contains is decided by what it links.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "kernels/api/backend.h"
#include "kernels/cost/backend_kind.h"

namespace longspan::kernels {

// kUnavailable, with the reason, for a backend that this build lacks or that
// finds no device here. `device` is the ordinal of a GPU; only kCuda asks.
absl::StatusOr<std::unique_ptr<Backend>> CreateBackend(BackendKind kind,
                                                       int device = 0);

}  // namespace longspan::kernels
