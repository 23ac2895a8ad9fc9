// Messages as JSON lines, with the names of the schema.
#pragma once

#include <string>

namespace google::protobuf {
class Message;
}  // namespace google::protobuf

namespace longspan::cli {

// One line without its end; field names as in the .proto files.
std::string ToJsonLine(const google::protobuf::Message& message);

// Indented, with the end of the last line.
std::string ToJsonText(const google::protobuf::Message& message);

}  // namespace longspan::cli
