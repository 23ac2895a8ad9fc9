// Unpacking of gzip files (RFC 1952), several members in a row included.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace longspan::worker {

bool LooksLikeGzip(std::string_view file);

// kDataLoss for truncated or damaged data or bytes after the last member,
// kResourceExhausted above `max_bytes`. `name` is what messages call the file.
absl::StatusOr<std::string> UnpackGzip(std::string_view file,
                                       const std::string& name,
                                       int64_t max_bytes);

}  // namespace longspan::worker
