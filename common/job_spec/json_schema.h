// JSON Schema (2020-12) of the job file, from the same descriptors and rules
// that read it, for editors: `longspan validate --schema`.
#pragma once

#include <string>

namespace longspan {

std::string JobSpecJsonSchema();

}  // namespace longspan
