// The attention ops of cases.h.
#pragma once

#include <vector>

#include "bench/kernels/cases.h"

namespace longspan::bench {

std::vector<Case> LinearAttentionCases(kernels::BackendKind backend,
                                       kernels::DType dtype,
                                       int64_t tokens_divisor);
std::vector<Case> SoftmaxAttentionCases(kernels::BackendKind backend,
                                        kernels::DType dtype,
                                        int64_t tokens_divisor);

}  // namespace longspan::bench
