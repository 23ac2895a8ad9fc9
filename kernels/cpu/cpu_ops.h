// Factories of the op families of the cpu backend, one file each; the backend
// puts them together (cpu_backend.cc).
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
#include "kernels/cpu/instruction_set.h"

namespace longspan::kernels {

std::unique_ptr<LinearAttention> CreateCpuLinearAttention(
    InstructionSet set = BestInstructionSet());
std::unique_ptr<SoftmaxAttention> CreateCpuSoftmaxAttention(
    InstructionSet set = BestInstructionSet());
std::unique_ptr<Dense> CreateCpuDense();
std::unique_ptr<CrossEntropy> CreateCpuCrossEntropy();
std::unique_ptr<Elementwise> CreateCpuElementwise();
std::unique_ptr<ShortConvolution> CreateCpuShortConvolution();
std::unique_ptr<Optimizer> CreateCpuOptimizer();
std::unique_ptr<FeatureMaps> CreateCpuFeatureMaps();
std::unique_ptr<Sampling> CreateCpuSampling();
std::unique_ptr<TokenGates> CreateCpuTokenGates();

}  // namespace longspan::kernels
