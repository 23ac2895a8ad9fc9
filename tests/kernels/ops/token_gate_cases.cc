#include "absl/strings/str_cat.h"
#include "tests/kernels/ops/op_case.h"

namespace longspan::kernels {
namespace {

using Shape = std::vector<int64_t>;

OpCase SigmoidCase(const Shape& shape, double factor, bool strided) {
  OpCase result;
  result.name = OpCaseName("Sigmoid", shape, strided);
  result.operands = {{"x", Role::kInput, shape, strided},
                     {"y", Role::kOutput, shape, strided},
                     {"d_y", Role::kInput, shape, strided},
                     {"d_x", Role::kOutput, shape, strided}};
  result.forward = [factor](OpSet& ops, Operands& t) {
    return ops.token_gates->Sigmoid(t["x"], factor, t["y"], *ops.stream);
  };
  result.backward = [factor](OpSet& ops, Operands& t) {
    return ops.token_gates->SigmoidBackward(t["x"], factor, t["d_y"], t["d_x"],
                                            *ops.stream);
  };
  return result;
}

OpCase SoftplusGateCase(const Shape& shape, int64_t heads, bool strided) {
  OpCase result;
  result.name =
      OpCaseName("SoftplusGate_" + std::to_string(heads), shape, strided);
  result.operands = {{"x", Role::kInput, shape, strided},
                     {"bias", Role::kInput, {shape[1]}},
                     {"a_log", Role::kInput, {heads}},
                     {"y", Role::kOutput, shape, strided},
                     {"d_y", Role::kInput, shape, strided},
                     {"d_x", Role::kOutput, shape, strided},
                     {"d_bias", Role::kAccumulated, {shape[1]}},
                     {"d_a_log", Role::kAccumulated, {heads}}};
  result.forward = [](OpSet& ops, Operands& t) {
    return ops.token_gates->SoftplusGate({t["x"], t["bias"], t["a_log"]},
                                         t["y"], *ops.stream);
  };
  result.backward = [](OpSet& ops, Operands& t) {
    return ops.token_gates->SoftplusGateBackward(
        {t["x"], t["bias"], t["a_log"]}, t["d_y"],
        {t["d_x"], t["d_bias"], t["d_a_log"]}, *ops.stream);
  };
  return result;
}

OpCase ForgetGateCase(const Shape& shape, bool strided) {
  OpCase result;
  result.name = OpCaseName("ForgetGate", shape, strided);
  result.operands = {{"x", Role::kInput, shape, strided},
                     {"y", Role::kOutput, shape, strided},
                     {"k", Role::kOutput, shape, strided},
                     {"d_y", Role::kInput, shape, strided},
                     {"d_k", Role::kInput, shape, strided},
                     {"d_x", Role::kOutput, shape, strided}};
  result.forward = [](OpSet& ops, Operands& t) {
    return ops.token_gates->ForgetGate(t["x"], t["y"], t["k"], *ops.stream);
  };
  result.backward = [](OpSet& ops, Operands& t) {
    return ops.token_gates->ForgetGateBackward(t["x"], t["d_y"], t["d_k"],
                                               t["d_x"], *ops.stream);
  };
  return result;
}

OpCase BoundedForgetGateCase(const Shape& shape, int64_t layers, int64_t layer,
                             bool strided) {
  OpCase result;
  result.name = absl::StrCat(OpCaseName("BoundedForgetGate", shape, strided),
                             "_layer", layer, "of", layers);
  result.operands = {{"x", Role::kInput, shape, strided},
                     {"bounds", Role::kInput, {layers, shape[1]}},
                     {"y", Role::kOutput, shape, strided},
                     {"k", Role::kOutput, shape, strided},
                     {"d_y", Role::kInput, shape, strided},
                     {"d_k", Role::kInput, shape, strided},
                     {"d_x", Role::kOutput, shape, strided},
                     {"d_bounds", Role::kAccumulated, {layers, shape[1]}}};
  result.forward = [layer](OpSet& ops, Operands& t) {
    return ops.token_gates->BoundedForgetGate({t["x"], t["bounds"], layer},
                                              t["y"], t["k"], *ops.stream);
  };
  result.backward = [layer](OpSet& ops, Operands& t) {
    return ops.token_gates->BoundedForgetGateBackward(
        {t["x"], t["bounds"], layer}, t["d_y"], t["d_k"],
        {t["d_x"], t["d_bounds"]}, *ops.stream);
  };
  return result;
}

OpCase SigmoidProductCase(const Shape& shape, bool strided) {
  OpCase result;
  result.name = OpCaseName("SigmoidProduct", shape, strided);
  result.operands = {{"x", Role::kInput, shape, strided},
                     {"gate", Role::kInput, shape, strided},
                     {"bias", Role::kInput, {shape[1]}},
                     {"y", Role::kOutput, shape, strided},
                     {"d_y", Role::kInput, shape, strided},
                     {"d_x", Role::kOutput, shape, strided},
                     {"d_gate", Role::kOutput, shape, strided},
                     {"d_bias", Role::kAccumulated, {shape[1]}}};
  result.forward = [](OpSet& ops, Operands& t) {
    return ops.token_gates->SigmoidProduct({t["x"], t["gate"], t["bias"]},
                                           t["y"], *ops.stream);
  };
  result.backward = [](OpSet& ops, Operands& t) {
    return ops.token_gates->SigmoidProductBackward(
        {t["x"], t["gate"], t["bias"]}, t["d_y"],
        {t["d_x"], t["d_gate"], t["d_bias"]}, *ops.stream);
  };
  return result;
}

OpCase StepProductCase(int64_t m, int64_t h, int64_t size, bool strided) {
  const Shape shape = {m, h, size};
  OpCase result;
  result.name = OpCaseName("StepProduct", shape, strided);
  result.operands = {{"x", Role::kInput, shape, strided},
                     {"log_gate", Role::kInput, {m, h}},
                     {"a_log", Role::kInput, {h}},
                     {"y", Role::kOutput, shape, strided},
                     {"d_y", Role::kInput, shape, strided},
                     {"d_x", Role::kOutput, shape, strided},
                     {"d_log_gate", Role::kAccumulated, {m, h}},
                     {"d_a_log", Role::kAccumulated, {h}}};
  result.forward = [](OpSet& ops, Operands& t) {
    return ops.token_gates->StepProduct({t["x"], t["log_gate"], t["a_log"]},
                                        t["y"], *ops.stream);
  };
  result.backward = [](OpSet& ops, Operands& t) {
    return ops.token_gates->StepProductBackward(
        {t["x"], t["log_gate"], t["a_log"]}, t["d_y"],
        {t["d_x"], t["d_log_gate"], t["d_a_log"]}, *ops.stream);
  };
  return result;
}

OpCase AddSkipCase(int64_t m, int64_t h, int64_t size, bool strided) {
  const Shape shape = {m, h, size};
  OpCase result;
  result.name = OpCaseName("AddSkip", shape, strided);
  result.operands = {{"x", Role::kInput, shape, strided},
                     {"weight", Role::kInput, {h}},
                     {"y", Role::kAccumulated, shape, strided},
                     {"seed", Role::kInput, shape, strided},
                     {"d_x", Role::kAccumulated, shape, strided},
                     {"d_weight", Role::kAccumulated, {h}}};
  result.forward = [](OpSet& ops, Operands& t) {
    return ops.token_gates->AddSkip(t["x"], t["weight"], t["y"], *ops.stream);
  };
  result.backward = [](OpSet& ops, Operands& t) {
    return ops.token_gates->AddSkipBackward(
        t["x"], t["weight"], t["seed"], t["d_x"], t["d_weight"], *ops.stream);
  };
  result.seeds = {{"y", "seed"}};
  return result;
}

}  // namespace

std::vector<OpCase> TokenGateCases() {
  return {ForgetGateCase({5, 7}, false),
          ForgetGateCase({200, 65}, true),
          BoundedForgetGateCase({5, 7}, 4, 2, false),
          BoundedForgetGateCase({200, 65}, 3, 2, true),
          SigmoidProductCase({6, 9}, false),
          SigmoidProductCase({70, 130}, true),
          StepProductCase(5, 3, 7, false),
          StepProductCase(40, 3, 33, true),
          AddSkipCase(5, 3, 7, false),
          AddSkipCase(40, 3, 33, true),
          SigmoidCase({5, 7}, 1.0, false),
          SigmoidCase({300, 33}, 2.0, true),
          SoftplusGateCase({7, 6}, 6, false),
          SoftplusGateCase({9, 6}, 2, true),
          SoftplusGateCase({90, 200}, 2, true),
          SoftplusGateCase({60, 100}, 100, false)};
}

}  // namespace longspan::kernels
