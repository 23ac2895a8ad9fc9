#include <set>

#include "absl/strings/match.h"
#include "tests/kernels/cuda/ops/cuda_op_set.h"

namespace longspan::kernels {
namespace {

// Operands that stay f32 beside bf16 activations, by the beginning of the
// case's name; "" for all cases.
const std::map<std::string, std::set<std::string>>& F32Operands() {
  static const auto* names = new std::map<std::string, std::set<std::string>>{
      {"RmsNorm", {"weight", "rstd", "d_weight"}},
      {"LogSigmoidGate", {"bias", "y", "d_y", "d_bias"}},
      {"ShortConvolution", {"weight", "d_weight"}},
      {"Embed", {"d_table"}},
      {"CrossEntropy", {"token_weights", "nll", "d_weight"}},
      {"AdamW", {"parameter", "gradient", "first_moment", "second_moment"}},
      {"SumOfSquares", {"x", "y"}},
      {"Scale", {"x", "y"}},
      {"Sample", {"logits"}}};
  return *names;
}

bool StaysF32(const std::string& op, const std::string& operand) {
  for (const auto& [prefix, names] : F32Operands()) {
    if (absl::StartsWith(op, prefix)) return names.count(operand) > 0;
  }
  return false;
}

}  // namespace

std::vector<Operand> Bf16Operands(const OpCase& op) {
  std::vector<Operand> operands = op.operands;
  for (Operand& operand : operands) {
    const bool real = !operand.fixed_type && (operand.type == DType::kF32 ||
                                              operand.type == DType::kF64);
    if (!real) continue;
    operand.type = StaysF32(op.name, operand.name) ? DType::kF32 : DType::kBF16;
    operand.fixed_type = true;
  }
  return operands;
}

absl::Status RunCase(const OpCase& op, OpSet& ops, Operands& operands) {
  absl::Status status = op.forward(ops, operands);
  if (status.ok() && op.backward) status = op.backward(ops, operands);
  const absl::Status finished = ops.stream->Synchronize();
  return status.ok() ? finished : status;
}

}  // namespace longspan::kernels
