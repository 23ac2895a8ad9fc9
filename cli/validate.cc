// longspan validate: a job file against the schema, without a coordinator.
#include <iostream>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/file_text.h"
#include "cli/print_json.h"
#include "cli/report_error.h"
#include "common/job_spec/json_schema.h"
#include "common/job_spec/parse_job_spec.h"
#include "longspan/v1/job.pb.h"

namespace longspan::cli {

ExitCode RunValidate(const ValidateOptions& options) {
  if (options.schema) {
    std::cout << JobSpecJsonSchema();
    return ExitCode::kOk;
  }
  absl::StatusOr<std::string> text = ReadFileText(options.file);
  if (!text.ok()) return ReportError(text.status());
  v1::JobSpec spec;
  std::vector<SpecViolation> violations =
      ParseJobSpec(*text, options.file, &spec);
  if (!violations.empty()) {
    std::cerr << FormatViolations(options.file, violations);
    return ExitCode::kUsage;
  }
  if (options.print == "json") {
    std::cout << ToJsonText(spec);
  } else if (options.print == "text") {
    std::cout << spec.DebugString();
  } else {
    std::cout << options.file << ": OK\n";
  }
  return ExitCode::kOk;
}

}  // namespace longspan::cli
