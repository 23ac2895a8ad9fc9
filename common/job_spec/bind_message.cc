#include "common/job_spec/bind_message.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/message.h>

#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "common/base/edit_distance.h"
#include "common/base/status_macros.h"
#include "common/base/units.h"
#include "common/job_spec/enum_names.h"
#include "common/job_spec/parse_scalar.h"

namespace longspan {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::OneofDescriptor;

// Why there is no key for a model without mask.
constexpr char kAlwaysCausal[] =
    "every layer is causal: jobs predict the next token, which a layer without "
    "mask would see";

std::string Join(const std::string& path, const std::string& key) {
  return path.empty() ? key : absl::StrCat(path, ".", key);
}

std::vector<std::string> KeysOf(const Descriptor& type) {
  std::vector<std::string> keys;
  for (int i = 0; i < type.field_count(); ++i) {
    keys.push_back(type.field(i)->name());
  }
  return keys;
}

bool IsDuration(const FieldDescriptor& field) {
  return field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
         field.message_type()->full_name() == "google.protobuf.Duration";
}

FieldUnit UnitOf(const FieldDescriptor& field) {
  const FieldRule* rule = FindFieldRule(field);
  return rule == nullptr ? FieldUnit::kNone : rule->unit;
}

absl::StatusOr<int32_t> ParseInt32(const SpecNode& node,
                                   const FieldDescriptor& field) {
  ASSIGN_OR_RETURN(int64_t value, ParseIntNode(node, UnitOf(field)));
  if (value < std::numeric_limits<int32_t>::min() ||
      value > std::numeric_limits<int32_t>::max()) {
    return absl::InvalidArgumentError(
        absl::StrCat(value, " is out of range: at most ",
                     std::numeric_limits<int32_t>::max(), " fits this field"));
  }
  return static_cast<int32_t>(value);
}

absl::StatusOr<int> ParseEnum(const SpecNode& node,
                              const FieldDescriptor& field) {
  std::vector<std::string> names = EnumNames(*field.enum_type());
  std::string choices = absl::StrJoin(names, ", ");
  if (node.kind != SpecNode::Kind::kPlain &&
      node.kind != SpecNode::Kind::kString) {
    return absl::InvalidArgumentError(
        absl::StrCat("expects one of ", choices, ", not ", Describe(node)));
  }
  if (auto number = EnumNumber(*field.enum_type(), node.text)) return *number;
  std::optional<std::string> closest = ClosestName(node.text, names);
  return absl::InvalidArgumentError(absl::StrCat(
      "'", node.text, "' is not a choice here",
      closest ? absl::StrCat("; did you mean '", *closest, "'?") : "",
      " (choices: ", choices, ")"));
}

absl::Status SetDuration(const SpecNode& node, Message* message) {
  ASSIGN_OR_RETURN(std::string text, ParseStringNode(node));
  ASSIGN_OR_RETURN(absl::Duration value, ParseDuration(text));
  auto* out = static_cast<google::protobuf::Duration*>(message);
  out->set_seconds(absl::IDivDuration(value, absl::Seconds(1), &value));
  out->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(value)));
  return absl::OkStatus();
}

class Binder {
 public:
  void BindMap(const SpecNode& node, const std::string& path,
               Message* message) {
    if (node.kind == SpecNode::Kind::kNull) return;
    if (node.kind != SpecNode::Kind::kMap) {
      Report(
          path,
          absl::StrCat("expects a map with some of ",
                       absl::StrJoin(KeysOf(*message->GetDescriptor()), ", "),
                       ", not ", Describe(node)),
          node.position);
      return;
    }
    std::map<std::string, SpecPosition> seen;
    std::map<const OneofDescriptor*, std::string> chosen;
    for (const SpecNode::Entry& entry : node.entries) {
      const FieldDescriptor* field =
          message->GetDescriptor()->FindFieldByName(entry.key);
      if (field == nullptr) {
        ReportUnknown(path, entry, *message->GetDescriptor());
      } else if (IsFirst(path, entry, &seen) &&
                 IsOnlyChoice(path, entry, *field, &chosen)) {
        BindField(entry, Join(path, entry.key), *field, message);
      }
    }
  }

  BindResult Take() { return std::move(result_); }

 private:
  void Report(const std::string& path, const std::string& message,
              SpecPosition at) {
    result_.violations.push_back({path, message, at.line, at.column});
    result_.excused.insert(path);
  }

  void ReportUnknown(const std::string& path, const SpecNode::Entry& entry,
                     const Descriptor& type) {
    std::vector<std::string> keys = KeysOf(type);
    std::optional<std::string> closest = ClosestName(entry.key, keys);
    std::string hint =
        closest ? absl::StrCat("did you mean '", *closest, "'?")
                : absl::StrCat("known keys here: ", absl::StrJoin(keys, ", "));
    if (entry.key == "causal" || entry.key == "bidirectional") {
      hint = kAlwaysCausal;
    }
    Report(Join(path, entry.key), "unknown key; " + hint, entry.position);
    if (closest) result_.excused.insert(Join(path, *closest));
    // A mistyped kind must not be reported as missing as well.
    const FieldDescriptor* meant =
        closest ? type.FindFieldByName(*closest) : nullptr;
    if (meant != nullptr && meant->real_containing_oneof() != nullptr) {
      result_.excused.insert(
          Join(path, meant->real_containing_oneof()->name()));
    }
  }

  bool IsFirst(const std::string& path, const SpecNode::Entry& entry,
               std::map<std::string, SpecPosition>* seen) {
    auto [first, inserted] = seen->emplace(entry.key, entry.position);
    if (inserted) return true;
    Report(Join(path, entry.key),
           absl::StrCat("is set twice; the first is on line ",
                        first->second.line, ": remove one"),
           entry.position);
    return false;
  }

  bool IsOnlyChoice(const std::string& path, const SpecNode::Entry& entry,
                    const FieldDescriptor& field,
                    std::map<const OneofDescriptor*, std::string>* chosen) {
    const OneofDescriptor* oneof = field.real_containing_oneof();
    if (oneof == nullptr) return true;
    auto [other, inserted] = chosen->emplace(oneof, entry.key);
    if (inserted) return true;
    Report(Join(path, entry.key),
           absl::StrCat("'", other->second, "' is set already; a spec has one ",
                        oneof->name(), ": remove one of them"),
           entry.position);
    return false;
  }

  void BindField(const SpecNode::Entry& entry, const std::string& path,
                 const FieldDescriptor& field, Message* message) {
    result_.positions[path] = entry.position;
    if (entry.value.kind == SpecNode::Kind::kNull) {
      // "train:" with nothing below chooses the kind; a scalar needs a value.
      if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
          !field.is_repeated() && !IsDuration(field)) {
        message->GetReflection()->MutableMessage(message, &field);
      } else {
        Report(path, "has no value: write one or remove the key",
               entry.position);
      }
    } else if (field.is_map()) {
      BindStringMap(entry.value, path, field, message);
    } else if (field.is_repeated()) {
      BindList(entry.value, path, field, message);
    } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
               !IsDuration(field)) {
      BindMap(entry.value, path,
              message->GetReflection()->MutableMessage(message, &field));
    } else {
      ReportIfError(path, entry.value, SetScalar(entry.value, field, message));
    }
  }

  void ReportIfError(const std::string& path, const SpecNode& node,
                     const absl::Status& status) {
    if (!status.ok()) {
      Report(path, std::string(status.message()), node.position);
    }
  }

  void BindStringMap(const SpecNode& node, const std::string& path,
                     const FieldDescriptor& field, Message* message) {
    if (node.kind != SpecNode::Kind::kMap) {
      Report(path, "expects a map of names to texts, not " + Describe(node),
             node.position);
      return;
    }
    const Descriptor& type = *field.message_type();
    std::map<std::string, SpecPosition> seen;
    for (const SpecNode::Entry& entry : node.entries) {
      if (!IsFirst(path, entry, &seen)) continue;
      result_.positions[Join(path, entry.key)] = entry.position;
      absl::StatusOr<std::string> value = ParseStringNode(entry.value);
      ReportIfError(Join(path, entry.key), entry.value, value.status());
      if (!value.ok()) continue;
      Message* pair = message->GetReflection()->AddMessage(message, &field);
      pair->GetReflection()->SetString(pair, type.map_key(), entry.key);
      pair->GetReflection()->SetString(pair, type.map_value(), *value);
    }
  }

  void BindList(const SpecNode& node, const std::string& path,
                const FieldDescriptor& field, Message* message) {
    if (node.kind != SpecNode::Kind::kList) {
      Report(path, "expects a list, such as [a, b], not " + Describe(node),
             node.position);
      return;
    }
    for (size_t i = 0; i < node.items.size(); ++i) {
      std::string item_path = absl::StrCat(path, "[", i, "]");
      result_.positions[item_path] = node.items[i].position;
      ReportIfError(item_path, node.items[i],
                    AddScalar(node.items[i], field, message));
    }
  }

  absl::Status SetScalar(const SpecNode& node, const FieldDescriptor& field,
                         Message* message);
  absl::Status AddScalar(const SpecNode& node, const FieldDescriptor& field,
                         Message* message);

  BindResult result_;
};

absl::Status Unsupported(const FieldDescriptor& field) {
  return absl::UnimplementedError(
      absl::StrCat("cannot be written in a job file (type ",
                   field.cpp_type_name(), "): send a typed spec"));
}

absl::Status Binder::SetScalar(const SpecNode& node,
                               const FieldDescriptor& field, Message* message) {
  const google::protobuf::Reflection& reflection = *message->GetReflection();
  if (IsDuration(field)) {
    return SetDuration(node, reflection.MutableMessage(message, &field));
  }
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL: {
      ASSIGN_OR_RETURN(bool value, ParseBoolNode(node));
      reflection.SetBool(message, &field, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_INT32: {
      ASSIGN_OR_RETURN(int32_t value, ParseInt32(node, field));
      reflection.SetInt32(message, &field, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_INT64: {
      ASSIGN_OR_RETURN(int64_t value, ParseIntNode(node, UnitOf(field)));
      reflection.SetInt64(message, &field, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_UINT64: {
      ASSIGN_OR_RETURN(uint64_t value, ParseUintNode(node));
      reflection.SetUInt64(message, &field, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      ASSIGN_OR_RETURN(double value, ParseDoubleNode(node));
      reflection.SetDouble(message, &field, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_STRING: {
      ASSIGN_OR_RETURN(std::string value, ParseStringNode(node));
      reflection.SetString(message, &field, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_ENUM: {
      ASSIGN_OR_RETURN(int value, ParseEnum(node, field));
      reflection.SetEnumValue(message, &field, value);
      return absl::OkStatus();
    }
    default:
      return Unsupported(field);
  }
}

absl::Status Binder::AddScalar(const SpecNode& node,
                               const FieldDescriptor& field, Message* message) {
  const google::protobuf::Reflection& reflection = *message->GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: {
      ASSIGN_OR_RETURN(int32_t value, ParseInt32(node, field));
      reflection.AddInt32(message, &field, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_INT64: {
      ASSIGN_OR_RETURN(int64_t value, ParseIntNode(node, UnitOf(field)));
      reflection.AddInt64(message, &field, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_STRING: {
      ASSIGN_OR_RETURN(std::string value, ParseStringNode(node));
      reflection.AddString(message, &field, value);
      return absl::OkStatus();
    }
    default:
      return Unsupported(field);
  }
}

}  // namespace

BindResult BindMessage(const SpecNode& root, Message* message) {
  Binder binder;
  binder.BindMap(root, "", message);
  return binder.Take();
}

}  // namespace longspan
