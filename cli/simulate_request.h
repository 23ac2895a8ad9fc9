// The options of `longspan simulate` to a sweep.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/simulate_options.h"
#include "common/simulate/sweep.h"

namespace longspan::cli {

// "4096", "16Ki", "1Mi": powers of 1024. "16Ki,1Mi" lists, "16Ki..4Mi"
// doubles from the first to the last. Ascending.
absl::StatusOr<std::vector<int64_t>> ReadCounts(const std::string& flag,
                                                const std::string& text);

// `job_text` is the content of options.file, if there is one. Errors name the
// flag or the place in the file.
absl::StatusOr<SweepRequest> ReadSweepRequest(const SimulateOptions& options,
                                              const std::string& job_text);

}  // namespace longspan::cli
