// What breaks first as ranks are added, in a paragraph with numbers: the memory
// of what lasp2 gathers, the latency of chains and of scattered collectives, or
// the bandwidth of a level. For networks of several levels and many ranks.
//
// Pure.
#pragma once

#include <string>

#include "common/simulate/sweep.h"

namespace longspan {

// At one length and number of ranks that the request's network has.
std::string ScaleAdvice(const SweepRequest& request, int64_t tokens, int ranks);

}  // namespace longspan
