// A safetensors file, mapped into memory and validated as a whole before any
// byte of a tensor is used. Immutable; thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "common/safetensors/safetensors_header.h"

namespace longspan {

class SafetensorsReader {
 public:
  // Errors name the path: kNotFound, or kDataLoss for a file that is cut off,
  // has bytes too many or breaks any rule of the format.
  static absl::StatusOr<std::unique_ptr<SafetensorsReader>> Open(
      const std::string& path);

  ~SafetensorsReader();
  SafetensorsReader(const SafetensorsReader&) = delete;
  SafetensorsReader& operator=(const SafetensorsReader&) = delete;

  const SafetensorsHeader& header() const { return header_; }
  // Null if there is no tensor of this name.
  const SafetensorsEntry* Find(std::string_view name) const;
  // The tensor's bytes, valid as long as the reader. Aligned to the element
  // size in files that we wrote; others may not be.
  std::string_view Bytes(const SafetensorsEntry& entry) const;
  // All bytes of the file, for its digest.
  std::string_view file_bytes() const { return {data_, size_}; }

 private:
  SafetensorsReader(const char* data, size_t size) : data_(data), size_(size) {}
  absl::Status Parse();

  const char* const data_;
  const size_t size_;
  size_t tensors_begin_ = 0;
  SafetensorsHeader header_;
};

}  // namespace longspan
