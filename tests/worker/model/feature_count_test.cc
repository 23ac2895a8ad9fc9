// The planner's features of a head (common/model_spec) and the kernels' are two
// tables, because neither may include the other.
#include <gtest/gtest.h>

#include "common/model_spec/linear_layer_form.h"
#include "kernels/api/feature_map.h"

namespace longspan {
namespace {

using kernels::FeatureMapKind;

struct Pair {
  FeatureMap map;
  FeatureMapKind kind;
};

constexpr Pair kPairs[] = {
    {FeatureMap::kElu, FeatureMapKind::kEluPlusOne},
    {FeatureMap::kRelu, FeatureMapKind::kRelu},
    {FeatureMap::kSoftmax, FeatureMapKind::kSoftmax},
    {FeatureMap::kTaylor, FeatureMapKind::kTaylor},
    {FeatureMap::kQuadratic, FeatureMapKind::kQuadratic},
    {FeatureMap::kHedgehogExp, FeatureMapKind::kHedgehogExp},
    {FeatureMap::kHedgehogSoftmax, FeatureMapKind::kHedgehogSoftmax},
    {FeatureMap::kHedgehogHalves, FeatureMapKind::kHedgehogHalves},
    {FeatureMap::kHadamard, FeatureMapKind::kHadamard},
    {FeatureMap::kDpfp, FeatureMapKind::kDpfp},
    {FeatureMap::kUnit, FeatureMapKind::kUnit}};

TEST(FeatureCountTest, PlannerAndKernelsAgree) {
  for (const Pair& pair : kPairs) {
    for (int64_t dim : {1, 5, 16, 64}) {
      LinearAttentionSpec spec;
      spec.mixer = LinearMixer::kBasic;
      spec.heads = 1;
      spec.key_dim = spec.value_dim = dim;
      spec.feature_map = pair.map;
      EXPECT_EQ(FormOf(spec).features,
                kernels::FeatureCount(pair.kind, dim, dim))
          << kernels::FeatureMapName(pair.kind) << " of " << dim;
    }
  }
}

}  // namespace
}  // namespace longspan
