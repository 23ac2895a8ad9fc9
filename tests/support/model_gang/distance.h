// How far numbers of two gangs are apart.
#pragma once

#include <vector>

namespace longspan::testing {

// The largest absolute value.
double Scale(const std::vector<double>& values);

// Largest difference, relative to the largest value of `b`; infinite where
// one is no number, `b` is zero or the sizes differ.
double Distance(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace longspan::testing
