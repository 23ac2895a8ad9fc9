// Ids that make a request idempotent.
#pragma once

#include <string>

namespace longspan::cli {

// A random UUID (version 4).
std::string NewRequestId();

}  // namespace longspan::cli
