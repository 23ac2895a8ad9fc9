#include "cli/request_id.h"

#include <cstdint>
#include <random>

#include "absl/strings/str_format.h"

namespace longspan::cli {

std::string NewRequestId() {
  std::random_device random;
  auto word = [&random] { return static_cast<uint32_t>(random()); };
  uint32_t a = word();
  uint32_t b = (word() & 0xffff0fffu) | 0x00004000u;  // version 4
  uint32_t c = (word() & 0x3fffffffu) | 0x80000000u;  // variant 1
  uint32_t d = word();
  return absl::StrFormat("%08x-%04x-%04x-%04x-%04x%08x", a, b >> 16, b & 0xffff,
                         c >> 16, c & 0xffff, d);
}

}  // namespace longspan::cli
