#include "cli/op/flag_value.h"

#include <cmath>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace longspan::cli {

absl::StatusOr<double> ParseNumber(const std::string& text) {
  double value = 0.0;
  // Abseil reads 0x4, too.
  const bool decimal = text.find_first_of("xX") == std::string::npos;
  if (decimal && absl::SimpleAtod(text, &value) && std::isfinite(value)) {
    return value;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "'", text, "' is not a finite decimal number, such as 0.125 or 1e-6"));
}

absl::StatusOr<int64_t> ParseInteger(const std::string& text) {
  int64_t value = 0;
  if (absl::SimpleAtoi(text, &value)) return value;
  return absl::InvalidArgumentError(
      absl::StrCat("'", text, "' is not a decimal whole number from ",
                   INT64_MIN, " to ", INT64_MAX));
}

absl::Status CheckNumber(FlagKind kind, const std::string& text) {
  if (kind == FlagKind::kNumber) return ParseNumber(text).status();
  if (kind == FlagKind::kInteger) return ParseInteger(text).status();
  return absl::OkStatus();
}

}  // namespace longspan::cli
