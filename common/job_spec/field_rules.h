// What the schema cannot say about single numbers: their unit and range. One
// table, used to read texts, to check typed specs and to print JSON Schema.
#pragma once

#include <string_view>

namespace google::protobuf {
class FieldDescriptor;
}  // namespace google::protobuf

namespace longspan {

enum class FieldUnit {
  kNone,
  kTokens,  // accepts 256Ki, 1Mi (powers of 1024)
  kBytes    // accepts 4MiB, 100kB
};

struct FieldRule {
  std::string_view field;  // full name: "longspan.v1.TrainSpec.batch_size"
  FieldUnit unit = FieldUnit::kNone;
  double min = 0;
  double max = 0;
  bool min_exclusive = false;
  bool max_exclusive = false;
};

// Null when the field has no rule. Ranges hold for specs with defaults
// resolved.
const FieldRule* FindFieldRule(const google::protobuf::FieldDescriptor& field);

}  // namespace longspan
