// Anonymous memory straight from the operating system: zero, page-aligned,
// counted as resident only where it has been touched.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"

namespace longspan::worker {

// Owns one mapping. Movable, not copyable.
class Pages {
 public:
  // kResourceExhausted, with the size, when the system refuses.
  static absl::StatusOr<Pages> Map(int64_t bytes);

  Pages() = default;
  Pages(Pages&& other) noexcept;
  Pages& operator=(Pages&& other) noexcept;
  ~Pages();

  void* data() const { return data_; }
  int64_t bytes() const { return bytes_; }

 private:
  Pages(void* data, int64_t bytes) : data_(data), bytes_(bytes) {}

  void* data_ = nullptr;
  int64_t bytes_ = 0;
};

}  // namespace longspan::worker
