#include <cmath>

#include "absl/strings/str_cat.h"
#include "kernels/cost/workspace.h"
#include "tests/kernels/ops/op_case.h"

namespace longspan::kernels {
namespace {

OpCase AdamWCase(int64_t size, double step) {
  OpCase result;
  result.name = absl::StrCat("AdamW_", size, "_step_", step);
  result.operands = {
      {"parameter", Role::kAccumulated, {size}},
      {"gradient", Role::kInput, {size}},
      {"first_moment", Role::kAccumulated, {size}},
      {"second_moment", Role::kAccumulated, {size}, false, {0.5, 0.25, 2.0}},
      {"rate", Role::kInput, {1}, false, {0.01}, DType::kF32, true},
      {"clip", Role::kInput, {1}, false, {0.75}, DType::kF32, true},
      {"step", Role::kInput, {1}, false, {step}, DType::kI64}};
  result.forward = [size](OpSet& ops, Operands& t) {
    const AdamWScalars scalars = {t["rate"], t["clip"], t["step"]};
    const auto part = [&](int64_t begin, int64_t end, double decay) {
      return AdamWTensor{t["parameter"].Slice(0, begin, end),
                         t["gradient"].Slice(0, begin, end),
                         t["first_moment"].Slice(0, begin, end),
                         t["second_moment"].Slice(0, begin, end), decay};
    };
    const AdamWTensor tensors[] = {part(0, size / 3, 0.1),
                                   part(size / 3, size, 0.0)};
    return ops.optimizer->AdamW(tensors, scalars, {}, *ops.stream);
  };
  return result;
}

OpCase SumOfSquaresCase(int64_t size) {
  OpCase result;
  result.name = absl::StrCat("SumOfSquares_", size);
  result.operands = {{"x", Role::kInput, {size}},
                     {"y", Role::kInput, {7, 3}},
                     {"out", Role::kOutput, {1}, false, {}, DType::kF64, true}};
  result.forward = [size](OpSet& ops, Operands& t) {
    const ConstTensorView tensors[] = {t["x"], t["y"]};
    const TensorView workspace =
        t.Workspace(SumOfSquaresWorkspaceBytes(size + 21, ops.kind, 1));
    return ops.optimizer->SumOfSquares(tensors, t["out"], workspace,
                                       *ops.stream);
  };
  return result;
}

}  // namespace

std::vector<OpCase> OptimizerCases() {
  return {AdamWCase(37, 1), AdamWCase(20000, 1000), SumOfSquaresCase(5),
          SumOfSquaresCase(50000)};
}

std::vector<OpCase> LargeOptimizerCases() {
  return {AdamWCase(1500001, 1000), SumOfSquaresCase(4000003)};
}

}  // namespace longspan::kernels
