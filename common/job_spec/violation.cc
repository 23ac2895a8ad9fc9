#include "common/job_spec/violation.h"

#include <string>

#include "absl/strings/str_cat.h"

namespace longspan {

std::string FormatViolation(std::string_view file_name,
                            const SpecViolation& violation) {
  std::string out(file_name);
  if (violation.line > 0) {
    absl::StrAppend(&out, out.empty() ? "line " : ":", violation.line, ":",
                    violation.column);
  }
  if (!out.empty()) out += ": ";
  if (!violation.path.empty()) absl::StrAppend(&out, violation.path, ": ");
  return out + violation.message;
}

std::string FormatViolations(std::string_view file_name,
                             const std::vector<SpecViolation>& violations) {
  std::string out;
  for (const SpecViolation& violation : violations) {
    absl::StrAppend(&out, FormatViolation(file_name, violation), "\n");
  }
  return out;
}

std::ostream& operator<<(std::ostream& out, const SpecViolation& violation) {
  return out << FormatViolation("", violation);
}

}  // namespace longspan
