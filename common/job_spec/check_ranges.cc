#include "common/job_spec/check_ranges.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <cmath>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/job_spec/field_rules.h"

namespace longspan {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// The number at `index` (-1: of a singular field); nullopt if none.
std::optional<double> NumberAt(const Message& message,
                               const FieldDescriptor& field, int index) {
  const Reflection& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return index < 0 ? reflection.GetInt32(message, &field)
                       : reflection.GetRepeatedInt32(message, &field, index);
    case FieldDescriptor::CPPTYPE_INT64:
      return static_cast<double>(
          index < 0 ? reflection.GetInt64(message, &field)
                    : reflection.GetRepeatedInt64(message, &field, index));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return reflection.GetDouble(message, &field);
    default:
      return std::nullopt;
  }
}

// Whole numbers without an exponent, others as short as they are exact.
std::string NumberText(double value) {
  if (std::floor(value) == value && std::abs(value) < 9e15) {
    return absl::StrCat(static_cast<int64_t>(value));
  }
  return absl::StrCat(value);
}

// The limit that `value` breaks, in words; empty if none.
std::string BrokenLimit(const FieldRule& rule, double value) {
  bool above = rule.min_exclusive ? value > rule.min : value >= rule.min;
  bool below = rule.max_exclusive ? value < rule.max : value <= rule.max;
  if (!above) {  // also NaN
    return absl::StrCat(rule.min_exclusive ? "more than " : "at least ",
                        NumberText(rule.min));
  }
  if (!below) {
    return absl::StrCat(rule.max_exclusive ? "less than " : "at most ",
                        NumberText(rule.max));
  }
  return "";
}

void CheckNumber(const Message& message, const FieldDescriptor& field,
                 int index, const std::string& path,
                 std::vector<SpecViolation>* violations) {
  const FieldRule* rule = FindFieldRule(field);
  std::optional<double> value = NumberAt(message, field, index);
  if (rule == nullptr || !value) return;
  std::string limit = BrokenLimit(*rule, *value);
  if (limit.empty()) return;
  violations->push_back(
      {path, absl::StrCat("must be ", limit, ", not ", NumberText(*value))});
}

void CheckField(const Message& message, const FieldDescriptor& field,
                const std::string& path,
                std::vector<SpecViolation>* violations) {
  const Reflection& reflection = *message.GetReflection();
  bool is_message = field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
  if (field.is_map()) return;
  if (field.is_repeated() && !is_message) {
    for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
      CheckNumber(message, field, i, absl::StrCat(path, "[", i, "]"),
                  violations);
    }
  } else if (is_message && !field.is_repeated() &&
             reflection.HasField(message, &field)) {
    CheckRanges(reflection.GetMessage(message, &field), path, violations);
  } else if (!is_message) {
    CheckNumber(message, field, -1, path, violations);
  }
}

}  // namespace

void CheckRanges(const Message& message, const std::string& path,
                 std::vector<SpecViolation>* violations) {
  const google::protobuf::Descriptor& type = *message.GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    std::string field_path =
        path.empty() ? field.name() : absl::StrCat(path, ".", field.name());
    CheckField(message, field, field_path, violations);
  }
}

}  // namespace longspan
