#include "common/job_spec/enum_names.h"

#include <google/protobuf/descriptor.h>

#include "absl/strings/ascii.h"

namespace longspan {

std::vector<std::string> EnumNames(
    const google::protobuf::EnumDescriptor& type) {
  std::vector<std::string> names;
  for (int i = 0; i < type.value_count(); ++i) {
    if (type.value(i)->number() == 0) continue;
    names.push_back(absl::AsciiStrToLower(type.value(i)->name()));
  }
  return names;
}

std::optional<int> EnumNumber(const google::protobuf::EnumDescriptor& type,
                              std::string_view name) {
  for (int i = 0; i < type.value_count(); ++i) {
    const auto& value = *type.value(i);
    if (value.number() != 0 && absl::AsciiStrToLower(value.name()) == name) {
      return value.number();
    }
  }
  return std::nullopt;
}

}  // namespace longspan
