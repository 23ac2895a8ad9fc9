#include "coordinator/status_page/page_files.h"

#include <string>

#include "absl/strings/match.h"
#include "common/base/check.h"

namespace longspan::coordinator {

const std::vector<PageFile>& PageFiles() {
  static const std::vector<PageFile> files = {
#include "status_page_files.inc"
  };
  return files;
}

const char* ContentTypeOf(std::string_view file_name) {
  const std::string name(file_name);
  if (absl::EndsWith(name, ".html")) return "text/html; charset=utf-8";
  if (absl::EndsWith(name, ".css")) return "text/css; charset=utf-8";
  if (absl::EndsWith(name, ".svg")) return "image/svg+xml";
  LONGSPAN_CHECK(absl::EndsWith(name, ".js")) << name;
  return "text/javascript; charset=utf-8";
}

}  // namespace longspan::coordinator
