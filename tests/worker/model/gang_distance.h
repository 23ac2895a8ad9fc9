// How far the results of two gangs are apart.
#pragma once

#include <vector>

#include "tests/support/model_gang/model_gang.h"

namespace longspan::testing {

// The largest absolute value.
double Scale(const std::vector<double>& values);

// Largest difference, relative to the largest value of `b`; infinite where
// one is no number.
double Distance(const std::vector<double>& a, const std::vector<double>& b);

// Loss, hidden states, every parameter's gradient and the gradient of the
// embedding token by token.
void ExpectSame(const GangResult& gang, const GangResult& one,
                double tolerance);

// Of ExpectSame in f32: 1e-5, but the gradient of a gate per channel is a
// difference of two sums over the tokens that follow, q dq and k dk, which
// cancel: a layer may lose as many roundings of 2^-24 as there are tokens.
double SingleTolerance(const GangCase& c);

}  // namespace longspan::testing
