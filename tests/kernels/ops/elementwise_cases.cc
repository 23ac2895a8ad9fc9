#include "absl/strings/str_cat.h"
#include "kernels/cost/workspace.h"
#include "tests/kernels/ops/op_case.h"

namespace longspan::kernels {
namespace {

using Shape = std::vector<int64_t>;

OpCase RmsNormCase(const Shape& shape, bool gated, bool accumulate,
                   bool strided) {
  OpCase result;
  result.name = OpCaseName(gated ? "RmsNormGated" : "RmsNorm", shape, strided) +
                (accumulate ? "_accumulate" : "");
  const Shape groups(shape.begin(), shape.end() - 1);
  const Role d_x = accumulate ? Role::kAccumulated : Role::kOutput;
  result.operands = {{"x", Role::kInput, shape, strided},
                     {"weight", Role::kInput, {shape.back()}},
                     {"y", Role::kOutput, shape, strided},
                     {"rstd", Role::kOutput, groups},
                     {"d_y", Role::kInput, shape, strided},
                     {"d_x", d_x, shape, strided},
                     {"d_weight", Role::kAccumulated, {shape.back()}}};
  if (gated) {
    result.operands.push_back({"gate", Role::kInput, shape, strided});
    result.operands.push_back({"d_gate", Role::kOutput, shape, strided});
  }
  result.forward = [](OpSet& ops, Operands& t) {
    return ops.elementwise->RmsNorm({t["x"], t["weight"], t["gate"], 1e-5},
                                    t["y"], t["rstd"], *ops.stream);
  };
  result.backward = [accumulate](OpSet& ops, Operands& t) {
    const TensorView workspace = t.Workspace(RmsNormBackwardWorkspaceBytes(
        t["x"].size(0), t["weight"].size(0), BytesPerElement(t.real_type()),
        ops.kind, 1));
    return ops.elementwise->RmsNormBackward(
        {t["x"], t["weight"], t["gate"], 1e-5}, t["rstd"], t["d_y"],
        {t["d_x"], t["d_weight"], t["d_gate"], accumulate}, workspace,
        *ops.stream);
  };
  return result;
}

OpCase RotaryCase(const Shape& shape, std::vector<double> positions,
                  bool strided) {
  OpCase result;
  result.name = OpCaseName("Rotary", shape, strided);
  result.operands = {
      {"x", Role::kInput, shape, strided},
      {"positions", Role::kInput, {shape[1]}, false, positions, DType::kI64},
      {"y", Role::kOutput, shape, strided},
      {"d_y", Role::kInput, shape, strided},
      {"d_x", Role::kOutput, shape, strided}};
  result.forward = [](OpSet& ops, Operands& t) {
    return ops.elementwise->Rotary(t["x"], t["positions"], 10000.0, false,
                                   t["y"], *ops.stream);
  };
  result.backward = [](OpSet& ops, Operands& t) {
    return ops.elementwise->Rotary(t["d_y"], t["positions"], 10000.0, true,
                                   t["d_x"], *ops.stream);
  };
  return result;
}

OpCase SiluCase(const Shape& shape, bool strided) {
  OpCase result;
  result.name = OpCaseName("Silu", shape, strided);
  result.operands = {{"x", Role::kInput, shape, strided},
                     {"y", Role::kOutput, shape, strided},
                     {"d_y", Role::kInput, shape, strided},
                     {"d_x", Role::kOutput, shape, strided}};
  result.forward = [](OpSet& ops, Operands& t) {
    return ops.elementwise->Silu(t["x"], t["y"], *ops.stream);
  };
  result.backward = [](OpSet& ops, Operands& t) {
    return ops.elementwise->SiluBackward(t["x"], t["d_y"], t["d_x"],
                                         *ops.stream);
  };
  return result;
}

OpCase SwiGluCase(const Shape& shape, bool strided) {
  OpCase result;
  result.name = OpCaseName("SwiGlu", shape, strided);
  for (const char* name : {"gate", "up", "d_y"}) {
    result.operands.push_back({name, Role::kInput, shape, strided});
  }
  for (const char* name : {"y", "d_gate", "d_up"}) {
    result.operands.push_back({name, Role::kOutput, shape, strided});
  }
  result.forward = [](OpSet& ops, Operands& t) {
    return ops.elementwise->SwiGlu(t["gate"], t["up"], t["y"], *ops.stream);
  };
  result.backward = [](OpSet& ops, Operands& t) {
    return ops.elementwise->SwiGluBackward(t["gate"], t["up"], t["d_y"],
                                           t["d_gate"], t["d_up"], *ops.stream);
  };
  return result;
}

OpCase GateCase(const Shape& shape, bool strided) {
  OpCase result;
  result.name = OpCaseName("LogSigmoidGate", shape, strided);
  result.operands = {{"x", Role::kInput, shape, strided},
                     {"bias", Role::kInput, {shape[1]}},
                     {"y", Role::kOutput, shape, strided},
                     {"d_y", Role::kInput, shape, strided},
                     {"d_x", Role::kOutput, shape, strided},
                     {"d_bias", Role::kAccumulated, {shape[1]}}};
  result.forward = [](OpSet& ops, Operands& t) {
    return ops.elementwise->LogSigmoidGate(t["x"], t["bias"], 16.0, t["y"],
                                           *ops.stream);
  };
  result.backward = [](OpSet& ops, Operands& t) {
    return ops.elementwise->LogSigmoidGateBackward(
        t["x"], t["bias"], 16.0, t["d_y"], t["d_x"], t["d_bias"], *ops.stream);
  };
  return result;
}

OpCase AddCase(const Shape& shape, bool strided) {
  OpCase result;
  result.name = OpCaseName("Add", shape, strided);
  result.operands = {{"a", Role::kInput, shape, strided},
                     {"b", Role::kAccumulated, shape, strided},
                     {"out", Role::kOutput, shape, strided}};
  result.forward = [](OpSet& ops, Operands& t) {
    const absl::Status status =
        ops.elementwise->Add(t["a"], t["b"], t["out"], *ops.stream);
    if (!status.ok()) return status;
    return ops.elementwise->Add(t["b"], t["out"], t["b"], *ops.stream);
  };
  return result;
}

OpCase ZeroAndCopyCase(const Shape& shape, bool strided) {
  OpCase result;
  result.name = OpCaseName("ZeroAndCopy", shape, strided);
  result.operands = {{"x", Role::kInput, shape, strided},
                     {"y", Role::kOutput, shape, false},
                     {"zero", Role::kOutput, shape, strided}};
  result.forward = [](OpSet& ops, Operands& t) {
    const absl::Status status =
        ops.elementwise->Copy(t["x"], t["y"], *ops.stream);
    if (!status.ok()) return status;
    return ops.elementwise->SetZero(t["zero"], *ops.stream);
  };
  return result;
}

std::vector<double> Consecutive(int64_t first, int64_t count) {
  std::vector<double> positions;
  for (int64_t i = 0; i < count; ++i) {
    positions.push_back(static_cast<double>(first + i));
  }
  return positions;
}

}  // namespace

std::vector<OpCase> ElementwiseCases() {
  std::vector<OpCase> cases;
  for (bool strided : {false, true}) {
    cases.push_back(RmsNormCase({5, 7}, false, false, strided));
    cases.push_back(RmsNormCase({3, 2, 20}, true, false, strided));
    cases.push_back(RmsNormCase({150, 64}, true, true, strided));
    cases.push_back(RmsNormCase({66, 4, 16}, false, true, strided));
    // A row is more than the CUDA backend's warps hold.
    cases.push_back(RmsNormCase({9, 520}, true, true, strided));
    cases.push_back(SiluCase({3, 11}, strided));
    cases.push_back(SiluCase({129, 176}, strided));
    cases.push_back(SwiGluCase({3, 11}, strided));
    cases.push_back(SwiGluCase({129, 176}, strided));
    cases.push_back(GateCase({5, 4}, strided));
    cases.push_back(GateCase({300, 4}, strided));
    cases.push_back(GateCase({9, 257}, strided));
    cases.push_back(AddCase({3, 11}, strided));
    cases.push_back(AddCase({129, 176}, strided));
    cases.push_back(ZeroAndCopyCase({3, 2, 11}, strided));
    cases.push_back(ZeroAndCopyCase({129, 176}, strided));
    cases.push_back(RotaryCase({1, 3, 2, 6}, {5, 4, 1000001}, strided));
    cases.push_back(
        RotaryCase({2, 300, 2, 32}, Consecutive(262100, 300), strided));
  }
  return cases;
}

std::vector<OpCase> LargeElementwiseCases() {
  return {RmsNormCase({1027, 2048}, false, false, false),
          RmsNormCase({515, 2048}, true, true, false),
          RmsNormCase({1030, 16, 128}, true, false, true),
          SiluCase({515, 2048}, false),
          SwiGluCase({515, 5632}, false),
          GateCase({20011, 32}, false),
          AddCase({1027, 2048}, false),
          ZeroAndCopyCase({1027, 2048}, true),
          RotaryCase({2, 1025, 8, 128}, Consecutive(1048570, 1025), false)};
}

}  // namespace longspan::kernels
