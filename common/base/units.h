// Numbers with units, as people write and read them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace longspan {

// Powers of 1024: "0 B", "512 B", "1.5 GiB".
std::string FormatBytes(int64_t bytes);

// Powers of 1000, three significant digits: "999", "1.23k", "45.6M".
std::string FormatCount(double count);

// (Not FormatDuration: Abseil has one, found by argument-dependent lookup.)
// "850 us", "12.3 ms", "4.56 s", "2m05s", "3h02m", "4d03h".
std::string FormatElapsed(absl::Duration duration);

// "30s", "10m", "1h30m", "250ms"; not negative, not infinite. A number
// without a unit is refused, except 0.
absl::StatusOr<absl::Duration> ParseDuration(std::string_view text);

// "4MiB", "1.5 GiB", "100MB", "512" (bytes). KiB, MiB, GiB, TiB are powers of
// 1024; kB, MB, GB, TB powers of 1000.
absl::StatusOr<int64_t> ParseBytes(std::string_view text);

}  // namespace longspan
