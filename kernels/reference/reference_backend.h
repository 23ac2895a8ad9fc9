// The reference backend: every op in plain loops, computed in double. It is
// the executable definition that the other backends are compared with; it is
// slow and runs on the calling thread, whatever the stream's thread count.
#pragma once

#include <memory>

#include "kernels/api/backend.h"

namespace longspan::kernels {

std::unique_ptr<Backend> CreateReferenceBackend();

}  // namespace longspan::kernels
