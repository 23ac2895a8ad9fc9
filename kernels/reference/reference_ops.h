// Factories of the op families of the reference backend, one file each; the
// backend puts them together (reference_backend.cc).
#pragma once

#include <memory>

#include "kernels/api/dense.h"
#include "kernels/api/elementwise.h"
#include "kernels/api/feature_map.h"
#include "kernels/api/linear_attention.h"
#include "kernels/api/optimizer.h"
#include "kernels/api/sampling.h"
#include "kernels/api/softmax_attention.h"
#include "kernels/api/token_gates.h"

namespace longspan::kernels {

std::unique_ptr<LinearAttention> CreateReferenceLinearAttention();
std::unique_ptr<SoftmaxAttention> CreateReferenceSoftmaxAttention();
std::unique_ptr<Dense> CreateReferenceDense();
std::unique_ptr<CrossEntropy> CreateReferenceCrossEntropy();
std::unique_ptr<Elementwise> CreateReferenceElementwise();
std::unique_ptr<ShortConvolution> CreateReferenceShortConvolution();
std::unique_ptr<Optimizer> CreateReferenceOptimizer();
std::unique_ptr<FeatureMaps> CreateReferenceFeatureMaps();
std::unique_ptr<Sampling> CreateReferenceSampling();
std::unique_ptr<TokenGates> CreateReferenceTokenGates();

}  // namespace longspan::kernels
