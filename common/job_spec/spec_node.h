// The text of a job spec as a tree, before it meets the schema. YAML and JSON
// both become this, so that everything after is written once.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/job_spec/violation.h"

namespace longspan {

struct SpecPosition {
  int line = 0;  // from 1
  int column = 0;
};

struct SpecNode {
  enum class Kind {
    kNull,
    kPlain,   // YAML without quotes: the schema decides what it is
    kString,  // quoted
    kNumber,  // JSON number, as written
    kBool,    // JSON true or false, as written
    kList,
    kMap
  };
  struct Entry;

  Kind kind = Kind::kNull;
  SpecPosition position;
  std::string text;             // scalars
  std::vector<SpecNode> items;  // kList
  std::vector<Entry> entries;   // kMap, in the order of the text
};

struct SpecNode::Entry {
  std::string key;
  SpecPosition position;  // of the key
  SpecNode value;
};

// "a map", "a list", "nothing", "'12x'": for error messages.
std::string Describe(const SpecNode& node);

// Limits of a spec's text; anything larger is refused, not truncated.
inline constexpr int64_t kMaxSpecBytes = int64_t{1} << 20;
inline constexpr int kMaxSpecDepth = 32;
inline constexpr int kMaxSpecNodes = 100000;

// Both return false after adding the reason to `violations`, with the place.
bool ReadYaml(std::string_view content, SpecNode* root,
              std::vector<SpecViolation>* violations);
bool ReadJson(std::string_view content, SpecNode* root,
              std::vector<SpecViolation>* violations);

}  // namespace longspan
