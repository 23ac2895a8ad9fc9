// Enum values as job files write them: lower case, without the UNSPECIFIED
// zero ("simple_gla", "wsd", "f32").
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace google::protobuf {
class EnumDescriptor;
}  // namespace google::protobuf

namespace longspan {

std::vector<std::string> EnumNames(
    const google::protobuf::EnumDescriptor& type);

// The value's number.
std::optional<int> EnumNumber(const google::protobuf::EnumDescriptor& type,
                              std::string_view name);

}  // namespace longspan
