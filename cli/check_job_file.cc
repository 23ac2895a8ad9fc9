#include "cli/check_job_file.h"

#include <iostream>

#include "cli/file_text.h"
#include "cli/report_error.h"
#include "common/job_spec/parse_job_spec.h"
#include "longspan/v1/job_service.pb.h"

namespace longspan::cli {

ExitCode LoadJobFile(const std::string& file, v1::JobSpecText* text) {
  absl::StatusOr<std::string> content = ReadFileText(file);
  if (!content.ok()) return ReportError(content.status());
  v1::JobSpec spec;
  std::vector<SpecViolation> violations = ParseJobSpec(*content, file, &spec);
  if (!violations.empty()) {
    std::cerr << FormatViolations(file, violations);
    return ExitCode::kUsage;
  }
  text->set_content(*content);
  text->set_file_name(file);
  return ExitCode::kOk;
}

}  // namespace longspan::cli
