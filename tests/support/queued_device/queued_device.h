// A backend that behaves like a GPU towards code that moves data: its streams
// run later, in threads of their own (queued_stream.h). Its memory is ordinary
// memory, so tests may look at it after a Synchronize().
//
// It has what process groups use: streams, memory and Add. The rest of
// the ops break an invariant.
#pragma once

#include <memory>

#include "kernels/api/backend.h"

namespace longspan::testing {

std::unique_ptr<kernels::Backend> CreateQueuedDevice();

}  // namespace longspan::testing
