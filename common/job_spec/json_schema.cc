#include "common/job_spec/json_schema.h"

#include <google/protobuf/descriptor.h>

#include <nlohmann/json.hpp>
#include <string>

#include "common/job_spec/enum_names.h"
#include "common/job_spec/field_rules.h"
#include "longspan/v1/job.pb.h"

namespace longspan {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using nlohmann::ordered_json;

ordered_json MessageSchema(const Descriptor& type);

ordered_json NumberSchema(const FieldDescriptor& field,
                          const std::string& json_type) {
  ordered_json schema = {{"type", json_type}};
  const FieldRule* rule = FindFieldRule(field);
  if (rule == nullptr) return schema;
  schema[rule->min_exclusive ? "exclusiveMinimum" : "minimum"] = rule->min;
  schema[rule->max_exclusive ? "exclusiveMaximum" : "maximum"] = rule->max;
  if (rule->unit == FieldUnit::kNone) return schema;
  bool tokens = rule->unit == FieldUnit::kTokens;
  ordered_json text = {
      {"type", "string"},
      {"pattern", tokens ? "^[0-9]+[KMGT]i$"
                         : "^[0-9.]+ ?(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)$"}};
  return {{"anyOf", {schema, text}}};
}

ordered_json ValueSchema(const FieldDescriptor& field) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return {{"type", "boolean"}};
    case FieldDescriptor::CPPTYPE_STRING:
      return {{"type", "string"}};
    case FieldDescriptor::CPPTYPE_DOUBLE:
    case FieldDescriptor::CPPTYPE_FLOAT:
      return NumberSchema(field, "number");
    case FieldDescriptor::CPPTYPE_ENUM:
      return {{"enum", EnumNames(*field.enum_type())}};
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return MessageSchema(*field.message_type());
    default:
      return NumberSchema(field, "integer");
  }
}

ordered_json FieldSchema(const FieldDescriptor& field) {
  if (field.is_map()) {
    return {{"type", "object"},
            {"additionalProperties",
             ValueSchema(*field.message_type()->map_value())}};
  }
  if (field.is_repeated()) {
    return {{"type", "array"}, {"items", ValueSchema(field)}};
  }
  return ValueSchema(field);
}

// At most one field of each oneof.
void AddChoices(const Descriptor& type, ordered_json* schema) {
  ordered_json all = ordered_json::array();
  for (int i = 0; i < type.real_oneof_decl_count(); ++i) {
    const auto& oneof = *type.oneof_decl(i);
    ordered_json none = ordered_json::array();
    ordered_json choices = ordered_json::array();
    for (int f = 0; f < oneof.field_count(); ++f) {
      ordered_json one = {{"required", {oneof.field(f)->name()}}};
      choices.push_back(one);
      none.push_back(one);
    }
    choices.push_back({{"not", {{"anyOf", none}}}});
    all.push_back({{"oneOf", choices}});
  }
  if (!all.empty()) (*schema)["allOf"] = all;
}

ordered_json MessageSchema(const Descriptor& type) {
  if (type.full_name() == "google.protobuf.Duration") {
    return {{"type", "string"}, {"pattern", "^([0-9.]+(ms|s|m|h))+$"}};
  }
  ordered_json schema = {{"type", "object"}, {"additionalProperties", false}};
  ordered_json properties = ordered_json::object();
  for (int i = 0; i < type.field_count(); ++i) {
    properties[type.field(i)->name()] = FieldSchema(*type.field(i));
  }
  schema["properties"] = properties;
  AddChoices(type, &schema);
  return schema;
}

}  // namespace

std::string JobSpecJsonSchema() {
  ordered_json schema = {
      {"$schema", "https://json-schema.org/draft/2020-12/schema"},
      {"title", "Longspan job"}};
  schema.update(MessageSchema(*v1::JobSpec::descriptor()));
  return schema.dump(2) + "\n";
}

}  // namespace longspan
