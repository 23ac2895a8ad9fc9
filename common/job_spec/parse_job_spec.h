// A job file to a job spec: the one entrance for texts, used by the command
// line and the coordinator.
//
//   v1::JobSpec spec;
//   std::vector<SpecViolation> violations =
//       ParseJobSpec(content, "job.yaml", &spec);
//   if (!violations.empty()) ...  // every mistake, in the order of the text
//
// Thread-compatible: no state.
#pragma once

#include <string_view>
#include <vector>

#include "common/job_spec/violation.h"

namespace longspan::v1 {
class JobSpec;
}  // namespace longspan::v1

namespace longspan {

// Reads, resolves defaults and validates. JSON when the file name ends in
// .json, or has no known ending and the text begins with '{'; else YAML. With
// violations, `spec` holds what could be understood and must not be run.
std::vector<SpecViolation> ParseJobSpec(std::string_view content,
                                        std::string_view file_name,
                                        v1::JobSpec* spec);

}  // namespace longspan
