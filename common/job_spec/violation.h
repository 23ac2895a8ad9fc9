// A mistake in a job spec, as shown to its author.
#pragma once

#include <ostream>
#include <string>
#include <string_view>
#include <vector>

namespace longspan {

struct SpecViolation {
  // Field path from the root of the spec: "train.model.hidden_size",
  // "generate.sampling.stop[2]"; empty for the spec as a whole.
  std::string path;
  // One sentence: the value, the limit and the fix.
  std::string message;
  // Where the text says it, from 1; 0 when there was no text.
  int line = 0;
  int column = 0;
};

// "job.yaml:12:5: train.model.hidden_size: ..."; without a line,
// "job.yaml: train.model...". An empty file name is left out.
std::string FormatViolation(std::string_view file_name,
                            const SpecViolation& violation);

// One line each, in the order of the text.
std::string FormatViolations(std::string_view file_name,
                             const std::vector<SpecViolation>& violations);

// For test failures.
std::ostream& operator<<(std::ostream& out, const SpecViolation& violation);

}  // namespace longspan
