// Numbers as flags of `longspan op` have them: decimal, nothing beside them.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "cli/op/op_description.h"

namespace longspan::cli {

// kInvalidArgument names the text and what it may be.
absl::StatusOr<double> ParseNumber(const std::string& text);    // finite
absl::StatusOr<int64_t> ParseInteger(const std::string& text);  // of 64 bits

// Whether `text` is a number of that kind; OkStatus for other kinds.
absl::Status CheckNumber(FlagKind kind, const std::string& text);

}  // namespace longspan::cli
