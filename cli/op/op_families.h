// The descriptions of each op family, one file each.
#pragma once

#include <vector>

#include "cli/op/op_description.h"

namespace longspan::cli {

std::vector<OpDescription> LinearAttentionOps();
std::vector<OpDescription> SoftmaxAttentionOps();
std::vector<OpDescription> FeatureMapOps();
std::vector<OpDescription> TokenGateOps();
std::vector<OpDescription> ElementwiseOps();
std::vector<OpDescription> ShortConvolutionOps();
std::vector<OpDescription> DenseOps();
std::vector<OpDescription> SamplingOps();
std::vector<OpDescription> OptimizerOps();

}  // namespace longspan::cli
