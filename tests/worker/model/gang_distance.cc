#include "tests/worker/model/gang_distance.h"

#include <cmath>

#include "common/model_spec/linear_layer_form.h"
#include "gtest/gtest.h"

namespace longspan::testing {

void ExpectSame(const GangResult& gang, const GangResult& one,
                double tolerance) {
  EXPECT_NEAR(gang.loss, one.loss, tolerance * std::abs(one.loss));
  EXPECT_LE(Distance(gang.hidden, one.hidden), tolerance);
  EXPECT_LE(Distance(gang.d_embedding, one.d_embedding), tolerance);
  EXPECT_LE(Distance(gang.gradients, one.gradients), tolerance);
}

double SingleTolerance(const GangCase& c) {
  const bool cancels = HasLayer(c.spec, LayerKind::kLinear) &&
                       FormOf(c.spec.linear).decay == StateDecay::kPerChannel;
  if (!cancels) return 1e-5;
  return std::ldexp(static_cast<double>(c.spec.layer_count * c.tokens), -24);
}

}  // namespace longspan::testing
