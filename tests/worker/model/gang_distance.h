// Whether the results of two gangs agree.
#pragma once

#include "tests/support/model_gang/distance.h"
#include "tests/support/model_gang/model_gang.h"

namespace longspan::testing {

// Loss, hidden states, every parameter's gradient and the gradient of the
// embedding token by token.
void ExpectSame(const GangResult& gang, const GangResult& one,
                double tolerance);

// Of ExpectSame in f32: 1e-5, but the gradient of a gate per channel is a
// difference of two sums over the tokens that follow, q dq and k dk, which
// cancel: a layer may lose as many roundings of 2^-24 as there are tokens.
double SingleTolerance(const GangCase& c);

}  // namespace longspan::testing
