#include "kernels/api/feature_map_operands.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace longspan::kernels {
namespace {

bool HasMatrix(FeatureMapKind kind) {
  return kind == FeatureMapKind::kHedgehogExp ||
         kind == FeatureMapKind::kHedgehogSoftmax ||
         kind == FeatureMapKind::kHedgehogHalves ||
         kind == FeatureMapKind::kHadamard;
}

// R, or 0 for maps without a matrix.
int64_t RowsOf(const FeatureMapInputs& inputs) {
  return HasMatrix(inputs.kind) ? inputs.weight.size(0) : 0;
}

void CheckBias(OperandCheck& check, const char* name, ConstTensorView bias,
               DType dtype, int64_t size) {
  if (!bias.is_null()) check.Dense(name, bias, dtype, {size});
}

void CheckMatrices(OperandCheck& check, const FeatureMapInputs& inputs,
                   DType dtype, int64_t head_dim) {
  const int64_t rows = inputs.weight.size(0);
  check.Dense("weight", inputs.weight, dtype, {rows, head_dim});
  CheckBias(check, "bias", inputs.bias, dtype, rows);
  if (inputs.kind != FeatureMapKind::kHadamard) return;
  check.Dense("second_weight", inputs.second_weight, dtype, {rows, head_dim});
  check.That(inputs.second_bias.is_null() == inputs.bias.is_null(),
             "bias and second_bias need to be both given or both null");
  CheckBias(check, "second_bias", inputs.second_bias, dtype, rows);
}

absl::Status CheckParameters(OperandCheck& check,
                             const FeatureMapInputs& inputs) {
  const DType dtype = AccumulatorOf(inputs.x.dtype());
  const int64_t head_dim = inputs.x.size(2);
  if (inputs.kind == FeatureMapKind::kQuadratic) {
    check.Dense("weight", inputs.weight, dtype, {head_dim});
    check.Dense("bias", inputs.bias, dtype, {head_dim});
    check.That(inputs.epsilon >= 0, absl::StrCat("epsilon is ", inputs.epsilon,
                                                 ", needs to be at least 0"));
  } else if (HasMatrix(inputs.kind)) {
    RETURN_IF_ERROR(check.Floating("weight", inputs.weight)
                        .Rank("weight", inputs.weight, 2)
                        .status());
    CheckMatrices(check, inputs, dtype, head_dim);
  } else {
    check.That(inputs.weight.is_null() && inputs.bias.is_null(),
               absl::StrCat(FeatureMapName(inputs.kind),
                            " has no weight and no bias"));
  }
  return check.status();
}

absl::Status CheckInputs(OperandCheck& check, const FeatureMapInputs& inputs,
                         const char* name, ConstTensorView y) {
  const ConstTensorView& x = inputs.x;
  check.Floating("x", x).Rank("x", x, 3);
  RETURN_IF_ERROR(check.status());
  RETURN_IF_ERROR(CheckParameters(check, inputs));
  const int64_t features = FeatureCount(inputs.kind, x.size(2), RowsOf(inputs));
  check.That(1 <= x.size(2) && x.size(2) <= kMaxFeatures && 1 <= features &&
                 features <= kMaxFeatures,
             absl::StrCat(FeatureMapName(inputs.kind), " makes ", features,
                          " features of ", x.size(2), "; allowed are 1 to ",
                          kMaxFeatures, " of each"));
  check.Floating(name, y).Type(name, y, x.dtype());
  return check.Shape(name, y, {x.size(0), x.size(1), features}).status();
}

void CheckGradient(OperandCheck& check, const char* name, ConstTensorView d,
                   ConstTensorView parameter) {
  check.That(d.is_null() == parameter.is_null(),
             absl::StrCat(name, " needs to be given iff its parameter is"));
  if (parameter.is_null()) return;
  check.Like(name, d, parameter).Contiguous(name, d);
}

int64_t CountOf(ConstTensorView view) {
  return view.is_null() ? 0 : view.element_count();
}

}  // namespace

const char* FeatureMapName(FeatureMapKind kind) {
  switch (kind) {
    case FeatureMapKind::kEluPlusOne:
      return "elu_plus_one";
    case FeatureMapKind::kRelu:
      return "relu";
    case FeatureMapKind::kSoftmax:
      return "softmax";
    case FeatureMapKind::kTaylor:
      return "taylor";
    case FeatureMapKind::kQuadratic:
      return "quadratic";
    case FeatureMapKind::kHedgehogExp:
      return "hedgehog_exp";
    case FeatureMapKind::kHedgehogSoftmax:
      return "hedgehog_softmax";
    case FeatureMapKind::kHedgehogHalves:
      return "hedgehog_halves";
    case FeatureMapKind::kHadamard:
      return "hadamard";
    case FeatureMapKind::kDpfp:
      return "dpfp";
    case FeatureMapKind::kUnit:
      return "unit";
  }
  return "unknown";
}

int64_t FeatureCount(FeatureMapKind kind, int64_t head_dim, int64_t rows) {
  const int64_t pairs = head_dim * (head_dim + 1) / 2;
  switch (kind) {
    case FeatureMapKind::kTaylor:
      return 1 + head_dim + pairs;
    case FeatureMapKind::kQuadratic:
      return pairs;
    case FeatureMapKind::kHedgehogExp:
    case FeatureMapKind::kHedgehogSoftmax:
    case FeatureMapKind::kHedgehogHalves:
      return 2 * rows;
    case FeatureMapKind::kHadamard:
      return rows;
    case FeatureMapKind::kDpfp:
      return 2 * kDpfpShifts * head_dim;
    default:
      return head_dim;
  }
}

int64_t FeatureMapParameterCount(const FeatureMapInputs& inputs) {
  return CountOf(inputs.weight) + CountOf(inputs.bias) +
         CountOf(inputs.second_weight) + CountOf(inputs.second_bias);
}

absl::Status CheckFeatureMap(const FeatureMapInputs& inputs, ConstTensorView y,
                             const OperandRules& rules) {
  OperandCheck check("FeatureMap", rules);
  return CheckInputs(check, inputs, "y", y);
}

absl::Status CheckFeatureMapBackward(const FeatureMapInputs& inputs,
                                     ConstTensorView d_y,
                                     const FeatureMapGradients& gradients,
                                     const OperandRules& rules) {
  OperandCheck check("FeatureMapBackward", rules);
  RETURN_IF_ERROR(CheckInputs(check, inputs, "d_y", d_y));
  check.Like("d_x", gradients.d_x, inputs.x);
  CheckGradient(check, "d_weight", gradients.d_weight, inputs.weight);
  CheckGradient(check, "d_bias", gradients.d_bias, inputs.bias);
  CheckGradient(check, "d_second_weight", gradients.d_second_weight,
                inputs.second_weight);
  CheckGradient(check, "d_second_bias", gradients.d_second_bias,
                inputs.second_bias);
  return check.status();
}

absl::Status CheckWideAndNarrow(const char* op, ConstTensorView wide,
                                ConstTensorView narrow,
                                const OperandRules& rules) {
  OperandCheck check(op, rules);
  check.Floating("narrow", narrow).Rank("narrow", narrow, 3);
  RETURN_IF_ERROR(check.status());
  check.Floating("wide", wide).Type("wide", wide, narrow.dtype());
  return check
      .Shape("wide", wide, {narrow.size(0), narrow.size(1), narrow.size(2) + 1})
      .status();
}

}  // namespace longspan::kernels
