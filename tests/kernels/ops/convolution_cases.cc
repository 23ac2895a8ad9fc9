#include "absl/strings/str_cat.h"
#include "kernels/cost/workspace.h"
#include "tests/kernels/ops/op_case.h"

namespace longspan::kernels {
namespace {

struct ConvolutionShape {
  int64_t batch, tokens, channels, kernel;
  bool halo = false;
  bool silu = false;
  bool strided = false;
  std::vector<int64_t> documents = {};
  bool bias = false;

  int64_t parameters() const { return kernel + (bias ? 1 : 0); }
};

OpCase ConvolutionCase(const ConvolutionShape& s) {
  OpCase result;
  result.name = absl::StrCat(
      "ShortConvolution_", s.batch, "x", s.tokens, "x", s.channels, "_kernel",
      s.kernel, s.halo ? "_halo" : "", s.silu ? "_silu" : "",
      s.documents.empty() ? "" : "_documents", s.strided ? "_strided" : "",
      s.bias ? "_bias" : "");
  const std::vector<int64_t> shape = {s.batch, s.tokens, s.channels};
  result.operands = {{"x", Role::kInput, shape, s.strided},
                     {"weight", Role::kInput, {s.channels, s.kernel}},
                     {"y", Role::kOutput, shape, s.strided},
                     {"d_y", Role::kInput, shape, s.strided},
                     {"d_x", Role::kOutput, shape, s.strided},
                     {"d_weight", Role::kAccumulated, {s.channels, s.kernel}}};
  if (s.halo) {
    const std::vector<int64_t> halo = {s.batch, s.kernel - 1, s.channels};
    result.operands.push_back({"halo", Role::kInput, halo, s.strided});
    result.operands.push_back({"d_halo", Role::kOutput, halo, s.strided});
  }
  if (s.bias) {
    result.operands.push_back({"bias", Role::kInput, {s.channels}});
    result.operands.push_back({"d_bias", Role::kAccumulated, {s.channels}});
  }
  const auto inputs = [s](const Operands& t) {
    ShortConvolutionInputs in = {t["x"], t["weight"], t["halo"], s.silu, {}};
    in.documents = {s.documents.data(),
                    static_cast<int64_t>(s.documents.size()),
                    s.documents.data()};
    in.bias = t["bias"];
    return in;
  };
  result.forward = [inputs](OpSet& ops, Operands& t) {
    return ops.short_convolution->Forward(inputs(t), t["y"], *ops.stream);
  };
  result.backward = [inputs, s](OpSet& ops, Operands& t) {
    const TensorView workspace =
        t.Workspace(ShortConvolutionBackwardWorkspaceBytes(
            s.batch, s.tokens, s.channels, s.parameters(),
            BytesPerElement(t.real_type()), ops.kind, 1));
    return ops.short_convolution->Backward(
        inputs(t), t["d_y"],
        {t["d_x"], t["d_weight"], t["d_halo"], t["d_bias"]}, workspace,
        *ops.stream);
  };
  return result;
}

}  // namespace

std::vector<OpCase> ConvolutionCases() {
  std::vector<OpCase> cases;
  for (bool silu : {false, true}) {
    for (int64_t kernel : {2, 4, 8}) {
      cases.push_back(ConvolutionCase({.batch = 2,
                                       .tokens = 5,
                                       .channels = 6,
                                       .kernel = kernel,
                                       .silu = silu}));
      cases.push_back(ConvolutionCase({.batch = 2,
                                       .tokens = 1,
                                       .channels = 3,
                                       .kernel = kernel,
                                       .halo = true,
                                       .silu = silu}));
      cases.push_back(ConvolutionCase({.batch = 1,
                                       .tokens = 200,
                                       .channels = 35,
                                       .kernel = kernel,
                                       .halo = true,
                                       .silu = silu,
                                       .strided = true,
                                       .documents = {2, 3, 64, 70, 199}}));
    }
    cases.push_back(ConvolutionCase({.batch = 1,
                                     .tokens = 12,
                                     .channels = 18,
                                     .kernel = 4,
                                     .halo = true,
                                     .silu = silu,
                                     .documents = {0, 5, 6}}));
    // The CUDA backend's runs of 5 tokens are shorter than the kernel.
    cases.push_back(ConvolutionCase({.batch = 2,
                                     .tokens = 9,
                                     .channels = 5,
                                     .kernel = 8,
                                     .halo = true,
                                     .silu = silu}));
    cases.push_back(ConvolutionCase({.batch = 1,
                                     .tokens = 12,
                                     .channels = 18,
                                     .kernel = 4,
                                     .halo = true,
                                     .silu = silu,
                                     .documents = {2}}));
  }
  return cases;
}

// Apart, because the backend cuda refuses them.
std::vector<OpCase> BiasedConvolutionCases() {
  std::vector<OpCase> cases;
  for (bool silu : {false, true}) {
    for (int64_t kernel : {3, 4}) {
      cases.push_back(ConvolutionCase({.batch = 1,
                                       .tokens = 200,
                                       .channels = 35,
                                       .kernel = kernel,
                                       .halo = true,
                                       .silu = silu,
                                       .strided = true,
                                       .documents = {2, 3, 64, 70, 199},
                                       .bias = true}));
    }
    cases.push_back(ConvolutionCase({.batch = 2,
                                     .tokens = 7,
                                     .channels = 3,
                                     .kernel = 4,
                                     .halo = true,
                                     .silu = silu,
                                     .bias = true}));
  }
  return cases;
}

std::vector<OpCase> LargeConvolutionCases() {
  return {ConvolutionCase({.batch = 2,
                           .tokens = 3001,
                           .channels = 256,
                           .kernel = 4,
                           .halo = true,
                           .silu = true}),
          ConvolutionCase({.batch = 1,
                           .tokens = 5003,
                           .channels = 128,
                           .kernel = 4,
                           .halo = true,
                           .silu = true,
                           .documents = {1, 64, 2000, 4999}})};
}

}  // namespace longspan::kernels
