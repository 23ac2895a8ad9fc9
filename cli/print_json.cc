#include "cli/print_json.h"

#include <google/protobuf/util/json_util.h>

#include "common/base/check.h"

namespace longspan::cli {
namespace {

std::string ToJson(const google::protobuf::Message& message, bool indent) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.add_whitespace = indent;
  std::string text;
  LONGSPAN_CHECK(
      google::protobuf::util::MessageToJsonString(message, &text, options).ok())
      << message.GetTypeName();
  return text;
}

}  // namespace

std::string ToJsonLine(const google::protobuf::Message& message) {
  return ToJson(message, false);
}

std::string ToJsonText(const google::protobuf::Message& message) {
  return ToJson(message, true);
}

}  // namespace longspan::cli
