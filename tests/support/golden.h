// Numbers that another implementation made: the files of tests/golden, and the
// operands that their generators draw.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace longspan {

// Tensors by name.
using Golden = std::map<std::string, std::vector<double>>;

// tests/golden/NAME.txt: lines of a name and its numbers. Fails the test, and
// is empty, if there is no such file.
Golden ReadGolden(const std::string& name);

// `values` of the generators: element i of an operand is drawn from the
// fraction GoldenNumerator(seed, i) / kGoldenDenominator, in [0, 1).
inline constexpr int64_t kGoldenDenominator = 10007;
constexpr int64_t GoldenNumerator(int64_t seed, int64_t i) {
  return (31 * i * i + 7919 * i + 104729 * seed) % kGoldenDenominator;
}

}  // namespace longspan
