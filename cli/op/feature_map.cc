#include "kernels/api/feature_map.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/op/op_call.h"
#include "cli/op/op_families.h"
#include "common/base/status_macros.h"
#include "kernels/cost/workspace.h"

namespace longspan::cli {
namespace {

using kernels::ConstTensorView;
using kernels::FeatureMapInputs;
using kernels::FeatureMapKind;
using kernels::TensorView;
using R = TensorRole;
using T = TensorType;

std::vector<FeatureMapKind> Kinds() {
  std::vector<FeatureMapKind> kinds;
  for (int i = 0;; ++i) {
    const auto kind = static_cast<FeatureMapKind>(i);
    if (FeatureMapName(kind) == std::string("unknown")) return kinds;
    kinds.push_back(kind);
  }
}

constexpr char kMapEquation[] =
    "y = phi(x), d = D as a number:\n"
    "elu_plus_one  elu(x) + 1          relu  relu(x)       softmax  over D\n"
    "taylor        [1, x / d^(1/4), x_i^2 / sqrt(2 d), x_i x_j / sqrt(d), "
    "i < j]\n"
    "quadratic     z = LayerNorm(x) * weight + bias;\n"
    "              [z_i^2 / sqrt(d), z_i z_j sqrt(2 / d), i < j]\n"
    "hedgehog_exp  z = W x + b;  [exp(z), exp(-z)]\n"
    "hedgehog_softmax            softmax([2 z, -2 z])\n"
    "hedgehog_halves             [softmax(z), softmax(-z)]\n"
    "hadamard      (W x + b) * (W2 x + b2)\n"
    "dpfp          z = [relu(x), relu(-x)];  [z * roll(z, j), j = 1 .. 4]\n"
    "unit          x / sqrt(|x|^2 + 1e-6)";

std::vector<std::string> KindNames() {
  std::vector<std::string> names;
  for (FeatureMapKind kind : Kinds()) names.push_back(FeatureMapName(kind));
  return names;
}

absl::StatusOr<FeatureMapKind> KindOf(const OpCall& call) {
  for (FeatureMapKind kind : Kinds()) {
    if (call.text("kind", "") == FeatureMapName(kind)) return kind;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("name the map: --kind ", absl::StrJoin(KindNames(), ", ")));
}

absl::Status SetFeatures(OpCall& call) {
  ASSIGN_OR_RETURN(const FeatureMapKind kind, KindOf(call));
  const int64_t rows = call.sizes().Has("R") ? call.size("R") : 0;
  call.sizes().Set("F", FeatureCount(kind, call.size("D"), rows));
  return absl::OkStatus();
}

// Every row as one token with one head.
template <typename View>
View OneHead(View rows) {
  return rows.Reshape({rows.size(0), 1, rows.size(1)});
}

absl::StatusOr<FeatureMapInputs> InputsOf(const OpCall& call) {
  FeatureMapInputs inputs;
  ASSIGN_OR_RETURN(inputs.kind, KindOf(call));
  inputs.x = OneHead(call.in("x"));
  inputs.weight = call.in("weight");
  inputs.bias = call.in("bias");
  inputs.second_weight = call.in("second_weight");
  inputs.second_bias = call.in("second_bias");
  inputs.epsilon = call.number("epsilon", inputs.epsilon);
  return inputs;
}

absl::Status MapForward(OpCall& call) {
  ASSIGN_OR_RETURN(const FeatureMapInputs inputs, InputsOf(call));
  return call.backend().feature_maps().Map(inputs, OneHead(call.out("y")),
                                           call.stream());
}

absl::Status MapBackward(OpCall& call) {
  ASSIGN_OR_RETURN(const FeatureMapInputs inputs, InputsOf(call));
  int64_t parameters = 0;
  for (const char* name : {"weight", "bias", "second_weight", "second_bias"}) {
    if (call.has(name)) parameters += call.in(name).element_count();
  }
  ASSIGN_OR_RETURN(
      const TensorView workspace,
      call.Workspace(FeatureMapBackwardWorkspaceBytes(
          inputs.x.size(0), parameters, call.element_bytes(), call.kind())));
  return call.backend().feature_maps().MapBackward(
      inputs, OneHead(call.in("d_y")),
      {OneHead(call.out("d_x")), call.out("d_weight"), call.out("d_bias"),
       call.out("d_second_weight"), call.out("d_second_bias")},
      workspace, call.stream());
}

std::vector<OpVariant> MapVariants() {
  const std::map<std::string, int> one = {{"weight", 0}, {"bias", 0}};
  std::map<std::string, int> two = one;
  two["second_weight"] = two["second_bias"] = 0;
  return {
      {"elu_plus_one", {{"kind", "elu_plus_one"}}, {}, {{"F", 4}}},
      {"relu", {{"kind", "relu"}}, {}, {{"F", 4}}},
      {"softmax", {{"kind", "softmax"}}, {}, {{"F", 4}}},
      {"taylor", {{"kind", "taylor"}}, {}, {{"F", 15}}},
      {"quadratic",
       {{"kind", "quadratic"}},
       {{"weight", 1}, {"bias", 0}},
       {{"F", 10}, {"R", 4}}},
      {"hedgehog_exp", {{"kind", "hedgehog_exp"}}, one, {{"F", 6}}},
      {"hedgehog_softmax", {{"kind", "hedgehog_softmax"}}, one, {{"F", 6}}},
      {"hedgehog_halves", {{"kind", "hedgehog_halves"}}, one, {{"F", 6}}},
      {"hadamard", {{"kind", "hadamard"}}, two, {{"F", 3}}},
      {"dpfp", {{"kind", "dpfp"}}, {}, {{"F", 32}}},
      {"unit", {{"kind", "unit"}}, {}, {{"F", 4}}},
  };
}

OpDescription FeatureMap() {
  OpDescription op;
  op.name = "feature_map";
  op.equation = kMapEquation;
  op.tensors = {
      {R::kInput, "x", T::kOperand, "* D", "queries or keys"},
      {R::kOptional, "weight", T::kSum, "R D | D", "W; of quadratic, [D]"},
      {R::kOptional, "bias", T::kSum, "R", "b; of quadratic, [D]"},
      {R::kOptional, "second_weight", T::kSum, "R D", "W2"},
      {R::kOptional, "second_bias", T::kSum, "R", "b2"},
      {R::kSeed, "d_y", T::kOperand, "", ""},
      {R::kOutput, "y", T::kOperand, "* F", "features"},
      {R::kGradient, "d_x", T::kOperand, "", ""},
      {R::kGradient, "d_weight", T::kSum, "", ""},
      {R::kGradient, "d_bias", T::kSum, "", ""},
      {R::kGradient, "d_second_weight", T::kSum, "", ""},
      {R::kGradient, "d_second_bias", T::kSum, "", ""},
  };
  op.flags = {
      {"kind", FlagKind::kChoice, "which map", KindNames()},
      {"epsilon", FlagKind::kNumber, "of quadratic's norm, default 1e-5"}};
  op.example_sizes = {{"D", 4}, {"R", 3}};
  op.variants = MapVariants();
  op.sizes = SetFeatures;
  op.forward = MapForward;
  op.backward = MapBackward;
  return op;
}

constexpr double kEpsilon = 1e-6;

absl::Status NormaliseForward(OpCall& call) {
  return call.backend().feature_maps().Normalise(
      OneHead(call.in("sums")), call.number("epsilon", kEpsilon),
      OneHead(call.out("o")), call.stream());
}

absl::Status NormaliseBackward(OpCall& call) {
  return call.backend().feature_maps().NormaliseBackward(
      OneHead(call.in("sums")), call.number("epsilon", kEpsilon),
      OneHead(call.in("d_o")), OneHead(call.out("d_sums")), call.stream());
}

OpDescription Normalise() {
  OpDescription op;
  op.name = "normalise";
  op.equation =
      "o = sums[..., :Dv] / (sums[..., Dv] + epsilon)\n"
      "The normaliser of linear attention is one more column of v, of ones.";
  op.tensors = {
      {R::kInput, "sums", T::kOperand, "* Dv+1", "outputs for [v, 1]", 0.5,
       1.5},
      {R::kSeed, "d_o", T::kOperand, "", ""},
      {R::kOutput, "o", T::kOperand, "* Dv", "outputs"},
      {R::kGradient, "d_sums", T::kOperand, "", ""},
  };
  op.flags = {{"epsilon", FlagKind::kNumber, "default 1e-6"}};
  op.example_sizes = {{"Dv", 3}};
  op.variants = {{"normalise"}};
  op.forward = NormaliseForward;
  op.backward = NormaliseBackward;
  return op;
}

}  // namespace

std::vector<OpDescription> FeatureMapOps() {
  return {FeatureMap(), Normalise()};
}

}  // namespace longspan::cli
