// Writes a safetensors file as a whole.
//
// The bytes go into PATH.partial, which then takes the name PATH: a reader
// never sees half a file, and what PATH was stays when writing fails.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace longspan {

struct SafetensorsTensor {
  std::string name;
  std::string dtype;  // "F32", "BF16", ...
  std::vector<int64_t> shape;
  std::string_view bytes;  // row-major; not owned
};

// kInvalidArgument for duplicate names, unknown types or bytes that do not
// fill the shape; otherwise the operating system's reason, with the path.
absl::Status WriteSafetensors(
    const std::string& path, const std::vector<SafetensorsTensor>& tensors,
    const std::map<std::string, std::string>& metadata = {});

}  // namespace longspan
