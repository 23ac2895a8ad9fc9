// Operand checks of the sampling op; see operand_check.h.
#pragma once

#include "absl/status/status.h"
#include "kernels/api/operand_check.h"
#include "kernels/api/sampling.h"

namespace longspan::kernels {

absl::Status CheckSampling(const SamplingInputs& inputs,
                           const SamplingOutputs& outputs,
                           const OperandRules& rules = kCpuOperands);

}  // namespace longspan::kernels
