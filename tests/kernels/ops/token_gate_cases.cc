#include "tests/kernels/ops/op_case.h"

namespace longspan::kernels {
namespace {

using Shape = std::vector<int64_t>;

std::string NameOf(const std::string& op, const Shape& shape, bool strided) {
  std::string name = op;
  for (int64_t size : shape) name += "_" + std::to_string(size);
  return name + (strided ? "_strided" : "");
}

OpCase SigmoidCase(const Shape& shape, double factor, bool strided) {
  OpCase result;
  result.name = NameOf("Sigmoid", shape, strided);
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
  result.name = NameOf("SoftplusGate_" + std::to_string(heads), shape, strided);
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

}  // namespace

std::vector<OpCase> TokenGateCases() {
  return {SigmoidCase({5, 7}, 1.0, false),
          SigmoidCase({300, 33}, 2.0, true),
          SoftplusGateCase({7, 6}, 6, false),
          SoftplusGateCase({9, 6}, 2, true),
          SoftplusGateCase({90, 200}, 2, true),
          SoftplusGateCase({60, 100}, 100, false)};
}

}  // namespace longspan::kernels
