#include "kernels/api/elementwise_operands.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "kernels/api/linear_attention_operands.h"
#include "kernels/api/operand_check.h"

namespace longspan::kernels {
namespace {

// rstd has the shape of x without its last dimension.
void CheckRstd(OperandCheck& check, ConstTensorView rstd, ConstTensorView x) {
  const DType sums = AccumulatorOf(x.dtype());
  if (x.rank() == 2) {
    check.Dense("rstd", rstd, sums, {x.size(0)});
  } else {
    check.Dense("rstd", rstd, sums, {x.size(0), x.size(1)});
  }
}

absl::Status CheckRmsNormInputs(OperandCheck& check,
                                const RmsNormInputs& inputs) {
  const ConstTensorView& x = inputs.x;
  check.Floating("x", x);
  check.That(x.rank() == 2 || x.rank() == 3,
             absl::StrCat("x is ", x.DebugString(), ", needs rank 2 or 3"));
  check.That(inputs.epsilon >= 0, absl::StrCat("epsilon is ", inputs.epsilon,
                                               ", needs to be at least 0"));
  RETURN_IF_ERROR(check.status());
  check.Dense("weight", inputs.weight, AccumulatorOf(x.dtype()),
              {x.size(x.rank() - 1)});
  if (!inputs.gate.is_null()) check.Like("gate", inputs.gate, x);
  return check.status();
}

absl::Status CheckConvolutionInputs(OperandCheck& check,
                                    const ShortConvolutionInputs& inputs) {
  const ConstTensorView& x = inputs.x;
  const ConstTensorView& weight = inputs.weight;
  check.Floating("x", x).Rank("x", x, 3);
  check.Floating("weight", weight).Rank("weight", weight, 2);
  RETURN_IF_ERROR(check.status());
  const int64_t kernel = weight.size(1);
  check.Dense("weight", weight, AccumulatorOf(x.dtype()), {x.size(2), kernel});
  check.That(2 <= kernel && kernel <= 8,
             absl::StrCat("kernel size ", kernel, ", needs 2 to 8"));
  if (!inputs.bias.is_null()) {
    check.Dense("bias", inputs.bias, weight.dtype(), {x.size(2)});
  }
  if (!inputs.halo.is_null()) {
    check.Floating("halo", inputs.halo).Type("halo", inputs.halo, x.dtype());
    check.Shape("halo", inputs.halo, {x.size(0), kernel - 1, x.size(2)});
  }
  RETURN_IF_ERROR(check.status());
  return CheckDocuments(check.op(), inputs.documents, x.size(0), x.size(1),
                        check.rules());
}

}  // namespace

absl::Status CheckRmsNorm(const RmsNormInputs& inputs, ConstTensorView y,
                          ConstTensorView rstd, const OperandRules& rules) {
  OperandCheck check("RmsNorm", rules);
  RETURN_IF_ERROR(CheckRmsNormInputs(check, inputs));
  CheckRstd(check, rstd, inputs.x);
  return check.Like("y", y, inputs.x).status();
}

absl::Status CheckRmsNormBackward(const RmsNormInputs& inputs,
                                  ConstTensorView rstd, ConstTensorView d_y,
                                  const RmsNormGradients& gradients,
                                  const OperandRules& rules) {
  OperandCheck check("RmsNormBackward", rules);
  RETURN_IF_ERROR(CheckRmsNormInputs(check, inputs));
  CheckRstd(check, rstd, inputs.x);
  check.Like("d_y", d_y, inputs.x).Like("d_x", gradients.d_x, inputs.x);
  check.Like("d_weight", gradients.d_weight, inputs.weight);
  check.That(gradients.d_gate.is_null() == inputs.gate.is_null(),
             "gate and d_gate need to be both given or both null");
  if (!inputs.gate.is_null()) check.Like("d_gate", gradients.d_gate, inputs.x);
  return check.status();
}

absl::Status CheckRotary(ConstTensorView x, ConstTensorView positions,
                         double base, ConstTensorView y,
                         const OperandRules& rules) {
  OperandCheck check("Rotary", rules);
  check.Floating("x", x).Rank("x", x, 4).Like("y", y, x);
  RETURN_IF_ERROR(check.status());
  check.Dense("positions", positions, DType::kI64, {x.size(1)});
  check.That(x.size(3) % 2 == 0,
             absl::StrCat("head size ", x.size(3), " is odd"));
  check.That(base > 0, absl::StrCat("base is ", base, ", needs to be > 0"));
  return check.status();
}

absl::Status CheckSameRows(const char* op, ConstTensorView x,
                           std::initializer_list<ConstTensorView> others,
                           const OperandRules& rules) {
  OperandCheck check(op, rules);
  check.Floating("operand 0", x);
  int number = 1;
  for (const ConstTensorView& other : others) {
    check.Like(absl::StrCat("operand ", number++).c_str(), other, x);
  }
  return check.status();
}

absl::Status CheckLogSigmoidGate(ConstTensorView x, ConstTensorView bias,
                                 double normalizer, ConstTensorView y,
                                 const OperandRules& rules) {
  OperandCheck check("LogSigmoidGate", rules);
  check.Floating("x", x).Rank("x", x, 2).AccumulatorLike("y", y, x);
  RETURN_IF_ERROR(check.status());
  check.Dense("bias", bias, AccumulatorOf(x.dtype()), {x.size(1)});
  check.That(normalizer != 0, "normalizer is 0");
  return check.status();
}

absl::Status CheckLogSigmoidGateBackward(ConstTensorView x,
                                         ConstTensorView bias,
                                         double normalizer, ConstTensorView d_y,
                                         ConstTensorView d_x,
                                         ConstTensorView d_bias,
                                         const OperandRules& rules) {
  RETURN_IF_ERROR(CheckLogSigmoidGate(x, bias, normalizer, d_y, rules));
  OperandCheck check("LogSigmoidGateBackward", rules);
  check.Dense("d_bias", d_bias, bias.dtype(), {x.size(1)});
  return check.Like("d_x", d_x, x).status();
}

absl::Status CheckCopy(ConstTensorView from, ConstTensorView to,
                       const OperandRules& rules) {
  OperandCheck check("Copy", rules);
  check.Present("from", from).Present("to", to);
  check.Rank("to", to, from.rank());
  if (AccumulatorOf(from.dtype()) == AccumulatorOf(to.dtype())) {
    if (from.dtype() != to.dtype()) {
      check.Floating("from", from).Floating("to", to);
    }
  } else {
    check.Type("to", to, from.dtype());
  }
  RETURN_IF_ERROR(check.status());
  for (int dim = 0; dim < from.rank(); ++dim) {
    check.That(from.size(dim) == to.size(dim),
               absl::StrCat("from is ", from.DebugString(), ", to is ",
                            to.DebugString()));
  }
  return check.status();
}

absl::Status CheckScale(ConstTensorView x, ConstTensorView factor,
                        ConstTensorView y, const OperandRules& rules) {
  OperandCheck check("Scale", rules);
  // Sums in double are operands of every backend.
  for (const auto& [name, view] : {std::pair("x", x), std::pair("y", y)}) {
    if (view.dtype() == DType::kF64) continue;
    check.Accumulator(name, view);
  }
  check.Rank("x", x, 1);
  RETURN_IF_ERROR(check.status());
  check.Dense("x", x, x.dtype(), {x.size(0)});
  check.Dense("y", y, y.dtype(), {x.size(0)});
  check.Dense("factor", factor, DType::kF64, {1});
  return check.status();
}

absl::Status CheckShortConvolution(const ShortConvolutionInputs& inputs,
                                   ConstTensorView y,
                                   const OperandRules& rules) {
  OperandCheck check("ShortConvolution", rules);
  RETURN_IF_ERROR(CheckConvolutionInputs(check, inputs));
  return check.Like("y", y, inputs.x).status();
}

absl::Status CheckShortConvolutionBackward(
    const ShortConvolutionInputs& inputs, ConstTensorView d_y,
    const ShortConvolutionGradients& gradients, const OperandRules& rules) {
  OperandCheck check("ShortConvolutionBackward", rules);
  RETURN_IF_ERROR(CheckConvolutionInputs(check, inputs));
  check.Like("d_y", d_y, inputs.x).Like("d_x", gradients.d_x, inputs.x);
  check.Like("d_weight", gradients.d_weight, inputs.weight);
  check.Contiguous("d_weight", gradients.d_weight);
  check.That(gradients.d_halo.is_null() == inputs.halo.is_null(),
             "halo and d_halo need to be both given or both null");
  if (!inputs.halo.is_null()) {
    check.Like("d_halo", gradients.d_halo, inputs.halo);
  }
  check.That(gradients.d_bias.is_null() == inputs.bias.is_null(),
             "bias and d_bias need to be both given or both null");
  if (!inputs.bias.is_null()) {
    check.Dense("d_bias", gradients.d_bias, inputs.bias.dtype(),
                {inputs.bias.size(0)});
  }
  return check.status();
}

absl::Status CheckAdamW(absl::Span<const AdamWTensor> tensors,
                        const AdamWScalars& scalars,
                        const OperandRules& rules) {
  OperandCheck check("AdamW", rules);
  check.Dense("learning_rate", scalars.learning_rate, DType::kF32, {1});
  check.Dense("clip_factor", scalars.clip_factor, DType::kF32, {1});
  check.Dense("step", scalars.step, DType::kI64, {1});
  RETURN_IF_ERROR(check.status());
  if (rules.readable) {
    const int64_t step = scalars.step.data_as<int64_t>()[0];
    check.That(step >= 1, absl::StrCat("step is ", step, ", needs >= 1"));
  }
  for (const AdamWTensor& tensor : tensors) {
    const ConstTensorView parameter = tensor.parameter;
    check.Accumulator("parameter", parameter).Rank("parameter", parameter, 1);
    check.Contiguous("parameter", parameter);
    check.Like("gradient", tensor.gradient, parameter);
    check.Like("first_moment", tensor.first_moment, parameter);
    check.Like("second_moment", tensor.second_moment, parameter);
    if (tensor.compute_parameter.is_null()) continue;
    check.Floating("compute_parameter", tensor.compute_parameter);
    check.Dense("compute_parameter", tensor.compute_parameter, DType::kBF16,
                {parameter.size(0)});
  }
  return check.status();
}

absl::Status CheckSumOfSquares(absl::Span<const ConstTensorView> tensors,
                               ConstTensorView out, const OperandRules& rules) {
  OperandCheck check("SumOfSquares", rules);
  check.Dense("out", out, DType::kF64, {1});
  for (const ConstTensorView& tensor : tensors) {
    check.Accumulator("tensor", tensor).Contiguous("tensor", tensor);
    check.Type("tensor", tensor, tensors[0].dtype());
  }
  return check.status();
}

absl::Status CheckClipFactor(ConstTensorView sum_of_squares, double max_norm,
                             ConstTensorView factor,
                             const OperandRules& rules) {
  OperandCheck check("ClipFactor", rules);
  check.Dense("sum_of_squares", sum_of_squares, DType::kF64, {1});
  check.Dense("factor", factor, DType::kF32, {1});
  check.That(max_norm >= 0,
             absl::StrCat("max_norm is ", max_norm, ", needs >= 0"));
  return check.status();
}

}  // namespace longspan::kernels
