#include "kernels/api/elementwise_operands.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "kernels/api/operand_check.h"

namespace longspan::kernels {
namespace {

// rstd has the shape of x without its last dimension.
void CheckRstd(OperandCheck& check, ConstTensorView rstd, ConstTensorView x) {
  if (x.rank() == 2) {
    check.Dense("rstd", rstd, x.dtype(), {x.size(0)});
  } else {
    check.Dense("rstd", rstd, x.dtype(), {x.size(0), x.size(1)});
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
  check.Dense("weight", inputs.weight, x.dtype(), {x.size(x.rank() - 1)});
  if (!inputs.gate.is_null()) check.Like("gate", inputs.gate, x);
  return check.status();
}

absl::Status CheckDocuments(OperandCheck& check, const Documents& documents,
                            int64_t batch, int64_t tokens) {
  if (documents.empty()) return absl::OkStatus();
  check.That(batch == 1, absl::StrCat("documents need batch 1, got ", batch));
  int64_t previous = -1;
  for (int64_t i = 0; i < documents.count; ++i) {
    const int64_t start = documents.starts[i];
    check.That(previous < start && start < tokens,
               absl::StrCat("document start ", i, " is ", start,
                            ", needs to be above ", previous, " and below ",
                            tokens, " tokens"));
    previous = start;
  }
  return check.status();
}

absl::Status CheckConvolutionInputs(OperandCheck& check,
                                    const ShortConvolutionInputs& inputs) {
  const ConstTensorView& x = inputs.x;
  const ConstTensorView& weight = inputs.weight;
  check.Floating("x", x).Rank("x", x, 3);
  check.Floating("weight", weight).Rank("weight", weight, 2);
  check.Type("weight", weight, x.dtype());
  RETURN_IF_ERROR(check.status());
  const int64_t kernel = weight.size(1);
  check.Dense("weight", weight, x.dtype(), {x.size(2), kernel});
  check.That(2 <= kernel && kernel <= 8,
             absl::StrCat("kernel size ", kernel, ", needs 2 to 8"));
  if (!inputs.halo.is_null()) {
    check.Floating("halo", inputs.halo).Type("halo", inputs.halo, x.dtype());
    check.Shape("halo", inputs.halo, {x.size(0), kernel - 1, x.size(2)});
  }
  return CheckDocuments(check, inputs.documents, x.size(0), x.size(1));
}

}  // namespace

absl::Status CheckRmsNorm(const RmsNormInputs& inputs, ConstTensorView y,
                          ConstTensorView rstd) {
  OperandCheck check("RmsNorm");
  RETURN_IF_ERROR(CheckRmsNormInputs(check, inputs));
  CheckRstd(check, rstd, inputs.x);
  return check.Like("y", y, inputs.x).status();
}

absl::Status CheckRmsNormBackward(const RmsNormInputs& inputs,
                                  ConstTensorView rstd, ConstTensorView d_y,
                                  const RmsNormGradients& gradients) {
  OperandCheck check("RmsNormBackward");
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
                         double base, ConstTensorView y) {
  OperandCheck check("Rotary");
  check.Floating("x", x).Rank("x", x, 4).Like("y", y, x);
  RETURN_IF_ERROR(check.status());
  check.Dense("positions", positions, DType::kI64, {x.size(1)});
  check.That(x.size(3) % 2 == 0,
             absl::StrCat("head size ", x.size(3), " is odd"));
  check.That(base > 0, absl::StrCat("base is ", base, ", needs to be > 0"));
  return check.status();
}

absl::Status CheckSameRows(const char* op, ConstTensorView x,
                           std::initializer_list<ConstTensorView> others) {
  OperandCheck check(op);
  check.Floating("operand 0", x);
  int number = 1;
  for (const ConstTensorView& other : others) {
    check.Like(absl::StrCat("operand ", number++).c_str(), other, x);
  }
  return check.status();
}

absl::Status CheckLogSigmoidGate(ConstTensorView x, ConstTensorView bias,
                                 double normalizer, ConstTensorView y) {
  OperandCheck check("LogSigmoidGate");
  check.Floating("x", x).Rank("x", x, 2).Like("y", y, x);
  RETURN_IF_ERROR(check.status());
  check.Dense("bias", bias, x.dtype(), {x.size(1)});
  check.That(normalizer != 0, "normalizer is 0");
  return check.status();
}

absl::Status CheckCopy(ConstTensorView from, ConstTensorView to) {
  OperandCheck check("Copy");
  check.Present("from", from).Present("to", to);
  check.Type("to", to, from.dtype()).Rank("to", to, from.rank());
  RETURN_IF_ERROR(check.status());
  for (int dim = 0; dim < from.rank(); ++dim) {
    check.That(from.size(dim) == to.size(dim),
               absl::StrCat("from is ", from.DebugString(), ", to is ",
                            to.DebugString()));
  }
  return check.status();
}

absl::Status CheckShortConvolution(const ShortConvolutionInputs& inputs,
                                   ConstTensorView y) {
  OperandCheck check("ShortConvolution");
  RETURN_IF_ERROR(CheckConvolutionInputs(check, inputs));
  return check.Like("y", y, inputs.x).status();
}

absl::Status CheckShortConvolutionBackward(
    const ShortConvolutionInputs& inputs, ConstTensorView d_y,
    const ShortConvolutionGradients& gradients) {
  OperandCheck check("ShortConvolutionBackward");
  RETURN_IF_ERROR(CheckConvolutionInputs(check, inputs));
  check.Like("d_y", d_y, inputs.x).Like("d_x", gradients.d_x, inputs.x);
  check.Like("d_weight", gradients.d_weight, inputs.weight);
  check.Contiguous("d_weight", gradients.d_weight);
  check.That(gradients.d_halo.is_null() == inputs.halo.is_null(),
             "halo and d_halo need to be both given or both null");
  if (!inputs.halo.is_null()) {
    check.Like("d_halo", gradients.d_halo, inputs.halo);
  }
  return check.status();
}

absl::Status CheckAdamW(absl::Span<const AdamWTensor> tensors,
                        const AdamWScalars& scalars) {
  OperandCheck check("AdamW");
  check.Dense("learning_rate", scalars.learning_rate, DType::kF32, {1});
  check.Dense("clip_factor", scalars.clip_factor, DType::kF32, {1});
  check.Dense("step", scalars.step, DType::kI64, {1});
  RETURN_IF_ERROR(check.status());
  const int64_t step = scalars.step.data_as<int64_t>()[0];
  check.That(step >= 1, absl::StrCat("step is ", step, ", needs >= 1"));
  for (const AdamWTensor& tensor : tensors) {
    const ConstTensorView parameter = tensor.parameter;
    check.Floating("parameter", parameter).Rank("parameter", parameter, 1);
    check.Contiguous("parameter", parameter);
    check.Like("gradient", tensor.gradient, parameter);
    check.Like("first_moment", tensor.first_moment, parameter);
    check.Like("second_moment", tensor.second_moment, parameter);
  }
  return check.status();
}

absl::Status CheckSumOfSquares(absl::Span<const ConstTensorView> tensors,
                               ConstTensorView out) {
  OperandCheck check("SumOfSquares");
  check.Dense("out", out, DType::kF64, {1});
  for (const ConstTensorView& tensor : tensors) {
    check.Floating("tensor", tensor).Contiguous("tensor", tensor);
    check.Type("tensor", tensor, tensors[0].dtype());
  }
  return check.status();
}

}  // namespace longspan::kernels
