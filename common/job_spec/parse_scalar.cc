#include "common/job_spec/parse_scalar.h"

#include <array>
#include <cmath>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/units.h"

namespace longspan {
namespace {

using Kind = SpecNode::Kind;

absl::Status Expects(std::string_view what, const SpecNode& node) {
  return absl::InvalidArgumentError(
      absl::StrCat("expects ", std::string(what), ", not ", Describe(node)));
}

// A quoted number is text, as it would be in JSON.
bool MayBeNumber(const SpecNode& node) {
  return node.kind == Kind::kPlain || node.kind == Kind::kNumber;
}

bool MayHaveUnit(const SpecNode& node) {
  return node.kind == Kind::kPlain || node.kind == Kind::kString;
}

struct CountSuffix {
  const char* text;
  int64_t factor;
};
constexpr std::array<CountSuffix, 4> kCountSuffixes = {{
    {"Ki", int64_t{1} << 10},
    {"Mi", int64_t{1} << 20},
    {"Gi", int64_t{1} << 30},
    {"Ti", int64_t{1} << 40},
}};

// "256Ki". "256K" is refused: a thousand or 1024?
absl::StatusOr<int64_t> ParseTokenCount(const SpecNode& node) {
  for (const CountSuffix& suffix : kCountSuffixes) {
    int64_t count = 0;
    if (absl::EndsWith(node.text, suffix.text) &&
        absl::SimpleAtoi(node.text.substr(0, node.text.size() - 2), &count) &&
        count >= 0 && count <= INT64_MAX / suffix.factor) {
      return count * suffix.factor;
    }
  }
  std::string digits = node.text.substr(0, node.text.size() - 1);
  int64_t count = 0;
  if (absl::SimpleAtoi(digits, &count) && count < 1'000'000'000 && count > 0) {
    char last =
        absl::ascii_toupper(static_cast<unsigned char>(node.text.back()));
    int64_t thousand = last == 'K' ? 1'000 : last == 'M' ? 1'000'000 : 0;
    if (thousand > 0) {
      int64_t binary = last == 'K' ? 1 << 10 : 1 << 20;
      return absl::InvalidArgumentError(
          absl::StrCat("'", node.text, "' is ambiguous: write ", digits,
                       std::string(1, last), "i (", count * binary, ") or ",
                       count * thousand));
    }
  }
  return Expects("a number of tokens, such as 4096 or 256Ki", node);
}

absl::StatusOr<int64_t> ParseIntWithUnit(const SpecNode& node, FieldUnit unit) {
  if (unit == FieldUnit::kTokens) return ParseTokenCount(node);
  if (unit == FieldUnit::kBytes) {
    absl::StatusOr<int64_t> bytes = ParseBytes(node.text);
    if (bytes.ok()) return bytes;
    return Expects("a number of bytes, such as 4096 or 4MiB", node);
  }
  return Expects("a whole number", node);
}

}  // namespace

absl::StatusOr<bool> ParseBoolNode(const SpecNode& node) {
  bool may = node.kind == Kind::kPlain || node.kind == Kind::kBool;
  if (may && node.text == "true") return true;
  if (may && node.text == "false") return false;
  return Expects("true or false", node);
}

absl::StatusOr<int64_t> ParseIntNode(const SpecNode& node, FieldUnit unit) {
  int64_t value = 0;
  if (MayBeNumber(node) && absl::SimpleAtoi(node.text, &value)) return value;
  if (unit != FieldUnit::kNone && MayHaveUnit(node) && node.text.size() > 1) {
    return ParseIntWithUnit(node, unit);
  }
  double real = 0;
  if (MayBeNumber(node) && absl::SimpleAtod(node.text, &real) &&
      std::floor(real) == real && std::abs(real) < 9e15) {
    return absl::InvalidArgumentError(
        absl::StrCat("expects a whole number, not '", node.text, "': write ",
                     static_cast<int64_t>(real)));
  }
  return Expects("a whole number", node);
}

absl::StatusOr<uint64_t> ParseUintNode(const SpecNode& node) {
  uint64_t value = 0;
  if (MayBeNumber(node) && absl::SimpleAtoi(node.text, &value)) return value;
  return Expects("a whole number from 0 to 18446744073709551615", node);
}

absl::StatusOr<double> ParseDoubleNode(const SpecNode& node) {
  double value = 0;
  if (MayBeNumber(node) && absl::SimpleAtod(node.text, &value) &&
      std::isfinite(value)) {
    return value;
  }
  return Expects("a number", node);
}

absl::StatusOr<std::string> ParseStringNode(const SpecNode& node) {
  if (node.kind == Kind::kPlain || node.kind == Kind::kString) {
    return node.text;
  }
  return Expects("text", node);
}

}  // namespace longspan
