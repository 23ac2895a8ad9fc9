#include "common/base/units.h"

#include <array>
#include <cmath>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace longspan {
namespace {

struct ByteUnit {
  std::string_view name;
  double bytes;
};

constexpr std::array<ByteUnit, 10> kByteUnits = {{{"", 1},
                                                  {"B", 1},
                                                  {"kB", 1e3},
                                                  {"MB", 1e6},
                                                  {"GB", 1e9},
                                                  {"TB", 1e12},
                                                  {"KiB", 1024.0},
                                                  {"MiB", 1048576.0},
                                                  {"GiB", 1073741824.0},
                                                  {"TiB", 1099511627776.0}}};

// Three significant digits without an exponent; x is in [0, 1000).
std::string ThreeDigits(double x) {
  if (x >= 99.95) return absl::StrFormat("%.0f", x);
  if (x >= 9.995) return absl::StrFormat("%.1f", x);
  return absl::StrFormat("%.2f", x);
}

absl::Status BytesError(std::string_view text) {
  return absl::InvalidArgumentError(
      absl::StrCat("'", std::string(text),
                   "' is not a size: write a number and a unit, such as "
                   "4MiB, 1.5GiB or 100MB"));
}

}  // namespace

std::string FormatBytes(int64_t bytes) {
  constexpr std::array<const char*, 5> kNames = {"KiB", "MiB", "GiB", "TiB",
                                                 "PiB"};
  if (bytes < 0) return absl::StrCat("-", FormatBytes(-(bytes + 1) + 1));
  if (bytes < 1024) return absl::StrCat(bytes, " B");
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  while (value >= 1023.95 && unit + 1 < kNames.size()) {
    value /= 1024;
    ++unit;
  }
  return absl::StrFormat("%.1f %s", value, kNames[unit]);
}

std::string FormatCount(double count) {
  constexpr std::array<const char*, 5> kNames = {"", "k", "M", "G", "T"};
  if (!std::isfinite(count)) return absl::StrCat(count);
  if (count < 0) return absl::StrCat("-", FormatCount(-count));
  if (count < 1000 && count == std::floor(count)) {
    return absl::StrFormat("%.0f", count);
  }
  size_t unit = 0;
  while (count >= 999.5 && unit + 1 < kNames.size()) {
    count /= 1000;
    ++unit;
  }
  return absl::StrCat(ThreeDigits(count), kNames[unit]);
}

std::string FormatElapsed(absl::Duration duration) {
  if (duration == absl::InfiniteDuration()) return "infinite";
  const double seconds = absl::ToDoubleSeconds(duration);
  if (seconds < 0) return absl::StrCat("-", FormatElapsed(-duration));
  if (seconds < 0.9995e-3) return ThreeDigits(seconds * 1e6) + " us";
  if (seconds < 0.9995) return ThreeDigits(seconds * 1e3) + " ms";
  if (seconds < 59.95) return ThreeDigits(seconds) + " s";
  const int64_t whole = std::llround(seconds);
  const int64_t minutes = whole / 60;
  if (minutes < 60) return absl::StrFormat("%dm%02ds", minutes, whole % 60);
  const int64_t hours = minutes / 60;
  if (hours < 24) return absl::StrFormat("%dh%02dm", hours, minutes % 60);
  return absl::StrFormat("%dd%02dh", hours / 24, hours % 24);
}

absl::StatusOr<absl::Duration> ParseDuration(std::string_view text) {
  absl::Duration duration;
  const bool parsed = absl::ParseDuration(std::string(text), &duration);
  if (!parsed || duration < absl::ZeroDuration() ||
      duration == absl::InfiniteDuration()) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", std::string(text),
                     "' is not a duration: write a number and a unit, such as "
                     "250ms, 30s, 10m or 1h30m"));
  }
  return duration;
}

absl::StatusOr<int64_t> ParseBytes(std::string_view text) {
  const size_t digits = text.find_first_not_of("0123456789.");
  const std::string number(text.substr(0, digits));
  std::string_view unit =
      digits == std::string_view::npos ? "" : text.substr(digits);
  if (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  double value = 0;
  if (number.empty() || !absl::SimpleAtod(number, &value)) {
    return BytesError(text);
  }
  for (const ByteUnit& candidate : kByteUnits) {
    if (candidate.name != unit) continue;
    const double bytes = value * candidate.bytes;
    if (bytes >= 9.2e18) return BytesError(text);
    return static_cast<int64_t>(std::llround(bytes));
  }
  return BytesError(text);
}

}  // namespace longspan
