#include "kernels/api/sampling_operands.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace longspan::kernels {

absl::Status CheckSampling(const SamplingInputs& inputs,
                           const SamplingOutputs& outputs,
                           const OperandRules& rules) {
  OperandCheck check("Sample", rules);
  check.Accumulator("logits", inputs.logits).Rank("logits", inputs.logits, 2);
  RETURN_IF_ERROR(check.status());
  const int64_t rows = inputs.logits.size(0);
  const int64_t vocabulary = inputs.logits.size(1);
  check.That(vocabulary >= 1 && vocabulary <= kMaxSampledVocabulary,
             absl::StrCat("a vocabulary of ", vocabulary, ", needs 1 to ",
                          kMaxSampledVocabulary));
  check.Dense("temperature", inputs.temperature, DType::kF64, {rows});
  check.Dense("top_k", inputs.top_k, DType::kI32, {rows});
  check.Dense("top_p", inputs.top_p, DType::kF64, {rows});
  check.Dense("uniform", inputs.uniform, DType::kF64, {rows});
  check.Dense("ids", outputs.ids, DType::kI32, {rows});
  check.Dense("log_probabilities", outputs.log_probabilities, DType::kF64,
              {rows});
  return check.status();
}

}  // namespace longspan::kernels
