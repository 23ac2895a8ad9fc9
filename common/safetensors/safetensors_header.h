// The header of a safetensors file: tensors by name, type, shape and place.
//
//     u64 little endian N | N bytes of JSON | tensor bytes
//
// The JSON object maps tensor names to {"dtype", "shape", "data_offsets"} and
// "__metadata__" to an object of strings. Parsing enforces the whole format,
// one rule more than the reference reader: duplicate names are refused.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace longspan {

struct SafetensorsEntry {
  std::string name;
  std::string dtype;  // "F32", "BF16", ... as in the file
  std::vector<int64_t> shape;
  int64_t begin = 0;  // bytes, counted from the end of the header
  int64_t end = 0;
};

struct SafetensorsHeader {
  std::map<std::string, std::string> metadata;
  std::vector<SafetensorsEntry> tensors;  // in the order of their bytes
};

// Bits per element of a type of the format; 0 for an unknown one.
int SafetensorsBits(std::string_view dtype);

// Most bytes of JSON that a header may have.
inline constexpr int64_t kMaxSafetensorsHeaderBytes = 100'000'000;

// Checks that `json` describes exactly `data_bytes` bytes without holes or
// overlaps, and that shapes, types and offsets agree. kDataLoss says what is
// wrong; the caller adds the file's name.
absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(std::string_view json,
                                                         int64_t data_bytes);

// Lays the tensors out (begin and end are set: widest type first, then by
// name) and returns the file's first bytes: length, JSON, and spaces up to a
// multiple of 8. kInvalidArgument for duplicate names or unknown types.
absl::StatusOr<std::string> BuildSafetensorsHeader(SafetensorsHeader& header);

}  // namespace longspan
