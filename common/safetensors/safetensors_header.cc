#include "common/safetensors/safetensors_header.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace longspan {
namespace {

using Json = nlohmann::json;

constexpr char kMetadataKey[] = "__metadata__";

constexpr std::pair<std::string_view, int> kBits[] = {
    {"BOOL", 8},    {"F4", 4},          {"F6_E2M3", 6},     {"F6_E3M2", 6},
    {"U8", 8},      {"I8", 8},          {"F8_E5M2", 8},     {"F8_E4M3", 8},
    {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I16", 16},
    {"U16", 16},    {"F16", 16},        {"BF16", 16},       {"I32", 32},
    {"U32", 32},    {"F32", 32},        {"C64", 64},        {"F64", 64},
    {"I64", 64},    {"U64", 64},
};

absl::Status Bad(const std::string& problem) {
  return absl::DataLossError(absl::StrCat("safetensors header: ", problem));
}

// Parses JSON in which no object repeats a key; the library would silently
// keep one of the two.
absl::StatusOr<Json> ParseStrict(std::string_view text) {
  std::vector<std::set<std::string>> keys;
  std::string repeated;
  const auto watch = [&](int, Json::parse_event_t event, Json& value) {
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key) {
      const auto& key = value.get_ref<const std::string&>();
      if (!keys.back().insert(key).second) repeated = key;
    }
    return true;
  };
  Json json = Json::parse(text.begin(), text.end(), watch, false);
  if (json.is_discarded()) return Bad("it is not valid JSON in UTF-8");
  if (!repeated.empty()) {
    return Bad(absl::StrCat("the name '", repeated, "' appears twice"));
  }
  return json;
}

absl::Status CheckPadding(std::string_view json) {
  const size_t last = json.find_last_not_of(' ');
  if (json.empty() || json.front() != '{' || last == std::string_view::npos ||
      json[last] != '}') {
    return Bad("it does not begin with '{' and end with '}' and spaces");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<int64_t>> ParseNumbers(const Json& json,
                                                  const std::string& what) {
  if (!json.is_array()) return Bad(absl::StrCat(what, " is not a list"));
  std::vector<int64_t> numbers;
  for (const Json& number : json) {
    if (!number.is_number_unsigned() ||
        number.get<uint64_t>() > (uint64_t{1} << 62)) {
      return Bad(absl::StrCat(what,
                              " holds something other than a whole "
                              "number from 0 to 2^62"));
    }
    numbers.push_back(static_cast<int64_t>(number.get<uint64_t>()));
  }
  return numbers;
}

// Bytes of a tensor; an error if they overflow or are not whole.
absl::StatusOr<int64_t> BytesOf(const SafetensorsEntry& entry) {
  const int bits = SafetensorsBits(entry.dtype);
  if (bits == 0) {
    return Bad(absl::StrCat("tensor '", entry.name, "' has the unknown type '",
                            entry.dtype, "'"));
  }
  int64_t total = bits;
  for (int64_t size : entry.shape) {
    if (__builtin_mul_overflow(total, size, &total)) {
      return Bad(
          absl::StrCat("the size of tensor '", entry.name, "' overflows"));
    }
  }
  if (total % 8 != 0) {
    return Bad(
        absl::StrCat("tensor '", entry.name, "' does not fill whole bytes"));
  }
  return total / 8;
}

absl::StatusOr<SafetensorsEntry> ParseEntry(const std::string& name,
                                            const Json& json) {
  const std::string what = absl::StrCat("tensor '", name, "'");
  if (!json.is_object() || !json.contains("dtype") || !json.contains("shape") ||
      !json.contains("data_offsets") || !json["dtype"].is_string()) {
    return Bad(absl::StrCat(what, " lacks dtype, shape or data_offsets"));
  }
  SafetensorsEntry entry;
  entry.name = name;
  entry.dtype = json["dtype"].get<std::string>();
  ASSIGN_OR_RETURN(entry.shape, ParseNumbers(json["shape"],
                                             absl::StrCat("shape of ", what)));
  ASSIGN_OR_RETURN(const std::vector<int64_t> offsets,
                   ParseNumbers(json["data_offsets"],
                                absl::StrCat("data_offsets of ", what)));
  if (offsets.size() != 2) {
    return Bad(absl::StrCat("data_offsets of ", what, " are not two"));
  }
  entry.begin = offsets[0];
  entry.end = offsets[1];
  return entry;
}

absl::StatusOr<std::map<std::string, std::string>> ParseMetadata(
    const Json& json) {
  if (!json.is_object()) return Bad("__metadata__ is not an object");
  std::map<std::string, std::string> metadata;
  for (const auto& [key, value] : json.items()) {
    if (!value.is_string()) {
      return Bad(absl::StrCat("__metadata__ '", key, "' is not a string"));
    }
    metadata[key] = value.get<std::string>();
  }
  return metadata;
}

// Tensors in the order of their bytes tile [0, data_bytes).
absl::Status CheckLayout(const std::vector<SafetensorsEntry>& tensors,
                         int64_t data_bytes) {
  int64_t previous = 0;
  for (const SafetensorsEntry& entry : tensors) {
    if (entry.begin != previous || entry.end < entry.begin) {
      return Bad(absl::StrCat("tensor '", entry.name, "' lies at [",
                              entry.begin, ", ", entry.end,
                              "), the one before it ends at ", previous));
    }
    ASSIGN_OR_RETURN(const int64_t bytes, BytesOf(entry));
    if (bytes != entry.end - entry.begin) {
      return Bad(absl::StrCat("tensor '", entry.name, "' needs ", bytes,
                              " bytes and has ", entry.end - entry.begin));
    }
    previous = entry.end;
  }
  if (previous == data_bytes) return absl::OkStatus();
  return Bad(absl::StrCat("it describes ", previous,
                          " bytes of tensors, the file has ", data_bytes));
}

bool BytesInOrder(const SafetensorsEntry& a, const SafetensorsEntry& b) {
  return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);
}

bool WidestFirst(const SafetensorsEntry& a, const SafetensorsEntry& b) {
  const int a_bits = SafetensorsBits(a.dtype);
  const int b_bits = SafetensorsBits(b.dtype);
  return a_bits != b_bits ? a_bits > b_bits : a.name < b.name;
}

}  // namespace

int SafetensorsBits(std::string_view dtype) {
  for (const auto& [name, bits] : kBits) {
    if (name == dtype) return bits;
  }
  return 0;
}

absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(std::string_view json,
                                                         int64_t data_bytes) {
  RETURN_IF_ERROR(CheckPadding(json));
  ASSIGN_OR_RETURN(const Json root, ParseStrict(json));
  SafetensorsHeader header;
  for (const auto& [name, value] : root.items()) {
    if (name == kMetadataKey) {
      ASSIGN_OR_RETURN(header.metadata, ParseMetadata(value));
    } else {
      ASSIGN_OR_RETURN(SafetensorsEntry entry, ParseEntry(name, value));
      header.tensors.push_back(std::move(entry));
    }
  }
  std::stable_sort(header.tensors.begin(), header.tensors.end(), BytesInOrder);
  RETURN_IF_ERROR(CheckLayout(header.tensors, data_bytes));
  return header;
}

absl::StatusOr<std::string> BuildSafetensorsHeader(SafetensorsHeader& header) {
  std::sort(header.tensors.begin(), header.tensors.end(), WidestFirst);
  Json root = Json::object();
  if (!header.metadata.empty()) root[kMetadataKey] = header.metadata;
  int64_t offset = 0;
  for (SafetensorsEntry& entry : header.tensors) {
    ASSIGN_OR_RETURN(const int64_t bytes, BytesOf(entry));
    if (root.contains(entry.name)) {
      return absl::InvalidArgumentError(
          absl::StrCat("two tensors are named '", entry.name, "'"));
    }
    entry.begin = offset;
    entry.end = offset + bytes;
    offset = entry.end;
    root[entry.name] = {{"dtype", entry.dtype},
                        {"shape", entry.shape},
                        {"data_offsets", {entry.begin, entry.end}}};
  }
  std::string json = root.dump(-1, ' ', false, Json::error_handler_t::replace);
  json.resize((json.size() + 7) / 8 * 8, ' ');
  uint64_t length = json.size();
  std::string bytes(sizeof(length), '\0');
  std::memcpy(bytes.data(), &length, sizeof(length));
  return bytes + json;
}

}  // namespace longspan
