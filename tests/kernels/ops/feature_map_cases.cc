#include "kernels/api/feature_map_operands.h"
#include "kernels/cost/workspace.h"
#include "tests/kernels/ops/op_case.h"

namespace longspan::kernels {
namespace {

FeatureMapInputs InputsOf(FeatureMapKind kind, Operands& t) {
  return {.kind = kind,
          .x = t["x"],
          .weight = t["weight"],
          .bias = t["bias"],
          .second_weight = t["second_weight"],
          .second_bias = t["second_bias"]};
}

void AddParameter(OpCase& result, const std::string& name,
                  const std::vector<int64_t>& shape) {
  result.operands.push_back({name, Role::kInput, shape});
  result.operands.push_back({"d_" + name, Role::kAccumulated, shape});
}

void AddParameters(OpCase& result, FeatureMapKind kind, int64_t head_dim,
                   int64_t rows, bool bias) {
  if (kind == FeatureMapKind::kQuadratic) {
    AddParameter(result, "weight", {head_dim});
    AddParameter(result, "bias", {head_dim});
  } else if (rows > 0) {
    AddParameter(result, "weight", {rows, head_dim});
    if (bias) AddParameter(result, "bias", {rows});
    if (kind != FeatureMapKind::kHadamard) return;
    AddParameter(result, "second_weight", {rows, head_dim});
    if (bias) AddParameter(result, "second_bias", {rows});
  }
}

// Heads [m, h] of size `head_dim`; `rows` of W, 0 for maps without one.
OpCase MapCase(FeatureMapKind kind, int64_t m, int64_t h, int64_t head_dim,
               int64_t rows = 0, bool bias = true, bool strided = false) {
  const std::vector<int64_t> in = {m, h, head_dim};
  const std::vector<int64_t> out = {m, h, FeatureCount(kind, head_dim, rows)};
  OpCase result;
  result.name = std::string("FeatureMap_") + FeatureMapName(kind) + "_" +
                std::to_string(m) + "_" + std::to_string(h) + "_" +
                std::to_string(head_dim) + (bias ? "" : "_plain") +
                (strided ? "_strided" : "");
  result.operands = {{"x", Role::kInput, in, strided},
                     {"y", Role::kOutput, out, strided},
                     {"d_y", Role::kInput, out, strided},
                     {"d_x", Role::kOutput, in, strided}};
  AddParameters(result, kind, head_dim, rows, bias);
  result.forward = [kind](OpSet& ops, Operands& t) {
    return ops.feature_maps->Map(InputsOf(kind, t), t["y"], *ops.stream);
  };
  result.backward = [kind](OpSet& ops, Operands& t) {
    const FeatureMapInputs inputs = InputsOf(kind, t);
    const TensorView workspace = t.Workspace(FeatureMapBackwardWorkspaceBytes(
        t["x"].size(0) * t["x"].size(1), FeatureMapParameterCount(inputs),
        BytesPerElement(t.real_type()), ops.kind));
    return ops.feature_maps->MapBackward(
        inputs, t["d_y"],
        {t["d_x"], t["d_weight"], t["d_bias"], t["d_second_weight"],
         t["d_second_bias"]},
        workspace, *ops.stream);
  };
  return result;
}

// The divisor, the last of Dv + 1 numbers, is kept away from 0.
OpCase NormaliseCase(int64_t m, int64_t h, int64_t value_dim, bool strided) {
  const std::vector<int64_t> wide = {m, h, value_dim + 1};
  const std::vector<int64_t> narrow = {m, h, value_dim};
  std::vector<double> sums;
  for (int64_t i = 0; i < m * h * (value_dim + 1); ++i) {
    const bool divisor = i % (value_dim + 1) == value_dim;
    sums.push_back(divisor ? 1.5 + 0.25 * static_cast<double>(i % 7)
                           : 0.5 - 0.125 * static_cast<double>(i % 11));
  }
  OpCase result;
  result.name = "Normalise_" + std::to_string(m) + "_" + std::to_string(h) +
                "_" + std::to_string(value_dim) + (strided ? "_strided" : "");
  result.operands = {{"sums", Role::kInput, wide, strided, sums},
                     {"o", Role::kOutput, narrow, strided},
                     {"d_o", Role::kInput, narrow, strided},
                     {"d_sums", Role::kOutput, wide, strided}};
  result.forward = [](OpSet& ops, Operands& t) {
    return ops.feature_maps->Normalise(t["sums"], 1e-3, t["o"], *ops.stream);
  };
  result.backward = [](OpSet& ops, Operands& t) {
    return ops.feature_maps->NormaliseBackward(t["sums"], 1e-3, t["d_o"],
                                               t["d_sums"], *ops.stream);
  };
  return result;
}

OpCase AppendOnesCase(int64_t m, int64_t h, int64_t value_dim, bool strided) {
  OpCase result;
  result.name = std::string("AppendOnes_") + std::to_string(value_dim) +
                (strided ? "_strided" : "");
  result.operands = {{"v", Role::kInput, {m, h, value_dim}, strided},
                     {"wide", Role::kOutput, {m, h, value_dim + 1}, strided}};
  result.forward = [](OpSet& ops, Operands& t) {
    return ops.feature_maps->AppendOnes(t["v"], t["wide"], *ops.stream);
  };
  return result;
}

}  // namespace

std::vector<OpCase> FeatureMapCases() {
  using K = FeatureMapKind;
  std::vector<OpCase> cases;
  for (K kind : {K::kEluPlusOne, K::kRelu, K::kSoftmax, K::kTaylor,
                 K::kQuadratic, K::kDpfp, K::kUnit}) {
    cases.push_back(MapCase(kind, 5, 2, 7));
    cases.push_back(MapCase(kind, 70, 3, 16, 0, true, true));
  }
  for (K kind : {K::kHedgehogExp, K::kHedgehogSoftmax, K::kHedgehogHalves,
                 K::kHadamard}) {
    cases.push_back(MapCase(kind, 5, 2, 6, 6));
    cases.push_back(MapCase(kind, 3, 2, 7, 3, /*bias=*/false));
    cases.push_back(MapCase(kind, 70, 3, 16, 24, true, true));
  }
  // The largest sizes, and heads of one number.
  cases.push_back(MapCase(K::kSoftmax, 2, 1, 512));
  cases.push_back(MapCase(K::kDpfp, 2, 1, 64));
  cases.push_back(MapCase(K::kDpfp, 3, 1, 1));
  cases.push_back(MapCase(K::kTaylor, 3, 1, 1));
  cases.push_back(NormaliseCase(5, 2, 6, false));
  cases.push_back(NormaliseCase(40, 3, 33, true));
  cases.push_back(AppendOnesCase(5, 2, 6, false));
  cases.push_back(AppendOnesCase(7, 3, 9, true));
  return cases;
}

}  // namespace longspan::kernels
