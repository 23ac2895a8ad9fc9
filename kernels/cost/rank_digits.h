// How a ranking by 64-bit keys is searched, digit by digit from the top: each
// pass sums what the tokens of a prefix weigh, by their next digit.
#pragma once

#include <cstdint>

namespace longspan::kernels {

inline constexpr int kRankDigitBits = 8;
inline constexpr int kRankDigits = 1 << kRankDigitBits;
inline constexpr int kRankTopShift = 64 - kRankDigitBits;

// A token's place in the ranking: by distance, then by id.
constexpr uint64_t RankKey(uint32_t distance, int64_t id) {
  return static_cast<uint64_t>(distance) << 32 | static_cast<uint32_t>(id);
}

constexpr int RankDigit(uint64_t key, int shift) {
  return static_cast<int>(key >> shift) & (kRankDigits - 1);
}

// Whether the digits above `shift` are `prefix`; every key has the empty one.
constexpr bool HasRankPrefix(uint64_t key, int shift, uint64_t prefix) {
  return shift == kRankTopShift || key >> (shift + kRankDigitBits) == prefix;
}

}  // namespace longspan::kernels
