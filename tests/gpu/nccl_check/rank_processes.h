// This program again, once per rank.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace longspan {

struct RankCommand {
  std::vector<std::string> arguments;    // after the program's name
  std::vector<std::string> environment;  // "NAME=value", beside our own
};

// Runs /proc/self/exe with each command at the same time. OK if all exit with
// 0. When one fails or time is up, the others are killed a second later; the
// error names the first that failed. They do not outlive this process. Call it
// from the only thread.
absl::Status RunRanks(const std::vector<RankCommand>& ranks,
                      absl::Duration limit);

}  // namespace longspan
