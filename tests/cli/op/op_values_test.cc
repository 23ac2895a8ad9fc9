// Defaults and flags reach the op: results against the equations that
// `longspan op --list` prints, written out here once more.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "tests/cli/op/op_files.h"

namespace longspan::cli {
namespace {

using Values = std::vector<double>;

Values Output(const std::string& op, const std::vector<OwnedTensor>& tensors,
              std::vector<std::string> flags, const std::string& name) {
  flags.insert(flags.end(), {"--backend", "reference", "--dtype", "f64"});
  const CommandOutput output = RunOpOn(op, tensors, flags);
  EXPECT_EQ(output.code, 0) << output.err;
  if (output.code != 0) return {};
  return ReadTensors(OpFile("out")).at(name);
}

void ExpectNear(const Values& actual, const Values& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    EXPECT_NEAR(actual[i], expected[i], 1e-6 * (1.0 + std::fabs(expected[i])))
        << i;
  }
}

double Sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

const Values kX = {0.5, -1.0, 2.0, 0.25, -0.75, 1.5};

// One token, k = v = 1: o = scale * q; the default scale is 1/sqrt(Dk).
TEST(OpValuesTest, LinearAttentionScale) {
  const std::vector<OwnedTensor> tensors = {
      F32Tensor("q", {1, 1, 1, 4}, {1, 2, 3, 4}),
      F32Tensor("k", {1, 1, 1, 4}, {1, 1, 1, 1}),
      F32Tensor("v", {1, 1, 1, 1}, {1})};
  ExpectNear(Output("linear_attention", tensors, {}, "o"), {5.0});
  ExpectNear(Output("linear_attention", tensors, {"--scale", "2"}, "o"),
             {20.0});
}

// Queries and keys of 0 weigh all visible keys alike.
TEST(OpValuesTest, SoftmaxAttentionMasks) {
  const std::vector<OwnedTensor> tensors = {
      F32Tensor("q", {1, 2, 1, 1}, {0, 0}),
      F32Tensor("k", {1, 4, 1, 1}, {0, 0, 0, 0}),
      F32Tensor("v", {1, 4, 1, 1}, {1, 2, 4, 8})};
  const auto o = [&](const std::vector<std::string>& flags) {
    return Output("softmax_attention", tensors, flags, "o");
  };
  ExpectNear(o({}), {1.0, 1.5});
  ExpectNear(o({"--mask", "none"}), {3.75, 3.75});
  ExpectNear(o({"--query-offset", "2"}), {7.0 / 3, 3.75});
  ExpectNear(o({"--window", "2", "--query-offset", "2"}), {3.0, 6.0});
  EXPECT_EQ(RunOpOn("softmax_attention", tensors, {"--mask", "window"}).code,
            2);
  EXPECT_EQ(
      RunOpOn("softmax_attention", tensors, {"--mask", "none", "--window", "2"})
          .code,
      2);
}

TEST(OpValuesTest, SoftmaxAttentionScale) {
  const std::vector<OwnedTensor> tensors = {
      F32Tensor("q", {1, 1, 1, 4}, {1, 1, 1, 1}),
      F32Tensor("k", {1, 2, 1, 4}, {1, 1, 1, 1, 0, 0, 0, 0}),
      F32Tensor("v", {1, 2, 1, 4}, {1, 0, 0, 0, 0, 0, 0, 0})};
  const auto first = [&](std::vector<std::string> flags) {
    flags.insert(flags.end(), {"--mask", "none"});
    return Output("softmax_attention", tensors, flags, "o")[0];
  };
  EXPECT_NEAR(first({}), Sigmoid(4.0 / std::sqrt(4.0)), 1e-12);
  EXPECT_NEAR(first({"--scale", "0.25"}), Sigmoid(1.0), 1e-12);
}

// Attention to four keys, from attention to one and to three of them.
TEST(OpValuesTest, SoftmaxAttentionMerges) {
  const OwnedTensor q = F32Tensor("q", {1, 1, 1, 2}, {1, -2});
  const Values k = {1, 0, 0.5, 2, -1, 1, 0.25, -3};
  const Values v = {1, 2, 3, 4, 5, 6, 7, 8};
  const auto attention = [&](int64_t begin, int64_t end, const char* name) {
    const Values keys(k.begin() + 2 * begin, k.begin() + 2 * end);
    const Values values(v.begin() + 2 * begin, v.begin() + 2 * end);
    return Output("softmax_attention",
                  {q, F32Tensor("k", {1, end - begin, 1, 2}, keys),
                   F32Tensor("v", {1, end - begin, 1, 2}, values)},
                  {"--mask", "none"}, name);
  };
  const std::vector<OwnedTensor> parts = {
      F32Tensor("o_a", {1, 1, 1, 2}, attention(0, 1, "o")),
      F32Tensor("lse_a", {1, 1, 1}, attention(0, 1, "lse")),
      F32Tensor("o_b", {1, 1, 1, 2}, attention(1, 4, "o")),
      F32Tensor("lse_b", {1, 1, 1}, attention(1, 4, "lse"))};
  for (const char* name : {"o", "lse"}) {
    ExpectNear(Output("softmax_attention_merge", parts, {}, name),
               attention(0, 4, name));
  }
}

TEST(OpValuesTest, RmsNorm) {
  const OwnedTensor x = F32Tensor("x", {1, 2, 1, 3}, kX);
  const OwnedTensor weight = F32Tensor("weight", {3}, {1, 2, 3});
  for (double epsilon : {1e-6, 0.5}) {
    Values expected;
    for (size_t row = 0; row < 6; row += 3) {
      double square = 0.0;
      for (size_t i = 0; i < 3; ++i) square += kX[row + i] * kX[row + i];
      for (size_t i = 0; i < 3; ++i) {
        expected.push_back(kX[row + i] / std::sqrt(square / 3 + epsilon) *
                           (i + 1.0));
      }
    }
    std::vector<std::string> flags;
    if (epsilon > 0.1) flags = {"--epsilon", "0.5"};
    ExpectNear(Output("rms_norm", {x, weight}, flags, "y"), expected);
  }
}

TEST(OpValuesTest, GatesAndActivations) {
  const OwnedTensor x = F32Tensor("x", {2, 3}, kX);
  const OwnedTensor bias = F32Tensor("bias", {3}, {0.5, 0, -0.5});
  Values silu, swiglu, gate, sigmoid, softplus;
  for (size_t i = 0; i < 6; ++i) {
    const double biased = kX[i] + 0.5 - 0.5 * (i % 3);
    silu.push_back(kX[i] * Sigmoid(kX[i]));
    swiglu.push_back(silu.back() * 2);
    gate.push_back(std::log(Sigmoid(biased)) / 16);
    sigmoid.push_back(2 * Sigmoid(kX[i]));
    softplus.push_back(-std::exp(0.25) * std::log1p(std::exp(biased)));
  }
  ExpectNear(Output("silu", {x}, {}, "y"), silu);
  ExpectNear(Output("swiglu",
                    {F32Tensor("gate", {2, 3}, kX),
                     F32Tensor("up", {2, 3}, Values(6, 2.0))},
                    {}, "y"),
             swiglu);
  ExpectNear(Output("log_sigmoid_gate", {x, bias}, {}, "y"), gate);
  ExpectNear(Output("sigmoid", {x}, {"--factor", "2"}, "y"), sigmoid);
  ExpectNear(Output("softplus_gate", {x, bias, F32Tensor("a_log", {1}, {0.25})},
                    {}, "y"),
             softplus);
}

TEST(OpValuesTest, ShortConvolutionWithItsHalo) {
  const std::vector<OwnedTensor> tensors = {
      F32Tensor("x", {1, 2, 1}, {3, 4}), F32Tensor("weight", {1, 3}, {1, 2, 3}),
      F32Tensor("halo", {1, 2, 1}, {1, 2})};
  const Values y = {1 * 1 + 2 * 2 + 3 * 3, 1 * 2 + 2 * 3 + 3 * 4};
  ExpectNear(Output("short_convolution", tensors, {}, "y"), y);
  ExpectNear(Output("short_convolution", tensors, {"--silu"}, "y"),
             {y[0] * Sigmoid(y[0]), y[1] * Sigmoid(y[1])});
}

TEST(OpValuesTest, ShortConvolutionWithItsBias) {
  const std::vector<OwnedTensor> tensors = {
      F32Tensor("x", {1, 1, 2}, {3, 4}),
      F32Tensor("weight", {2, 2}, {1, 2, 3, 4}),
      F32Tensor("bias", {2}, {0.5, -8})};
  ExpectNear(Output("short_convolution", tensors, {}, "y"),
             {0.5 + 2 * 3, -8 + 4 * 4});
}

// softmax of (0, log 2, log 5) is (1, 2, 5) / 8.
TEST(OpValuesTest, ForgetGateWithLowerBounds) {
  const std::vector<OwnedTensor> tensors = {
      F32Tensor("x", {2, 1}, {1, -2}),
      F32Tensor("bounds", {3, 1}, {0, std::log(2.0), std::log(5.0)})};
  for (const auto& [layer, bound] :
       {std::pair("1", 2.0 / 8), std::pair("2", 7.0 / 8)}) {
    Values gates, keys;
    for (double x : {1.0, -2.0}) {
      gates.push_back(std::log(bound + (1 - bound) * Sigmoid(x)));
      keys.push_back(1 - std::exp(gates.back()));
    }
    const std::vector<std::string> flags = {"--layer", layer};
    ExpectNear(Output("bounded_forget_gate", tensors, flags, "y"), gates);
    ExpectNear(Output("bounded_forget_gate", tensors, flags, "k"), keys);
  }
  for (const char* layer : {"0", "3"}) {
    EXPECT_EQ(RunOpOn("bounded_forget_gate", tensors, {"--layer", layer}).code,
              2);
  }
}

TEST(OpValuesTest, Rotary) {
  const std::vector<OwnedTensor> tensors = {
      F32Tensor("x", {1, 1, 1, 2}, {1, 0}), I64Tensor("positions", {3})};
  ExpectNear(Output("rotary", tensors, {}, "y"), {std::cos(3), std::sin(3)});
  ExpectNear(Output("rotary", tensors, {"--inverse"}, "y"),
             {std::cos(3), -std::sin(3)});
}

TEST(OpValuesTest, CrossEntropy) {
  const std::vector<OwnedTensor> tensors = {
      F32Tensor("hidden", {2, 1}, {1, 2}), F32Tensor("weight", {2, 1}, {0, 1}),
      I64Tensor("targets", {1, -1}), F32Tensor("token_weights", {2}, {0.5, 1})};
  ExpectNear(Output("cross_entropy", tensors, {}, "loss"),
             {-0.5 * std::log(Sigmoid(1.0))});
}

TEST(OpValuesTest, FeatureMapsMakeTheirFeatures) {
  const OwnedTensor x = F32Tensor("x", {1, 3, 2, 1}, kX);
  Values elu;
  for (double value : kX) {
    elu.push_back(value > 0 ? value + 1 : std::exp(value));
  }
  ExpectNear(Output("feature_map", {x}, {"--kind", "elu_plus_one"}, "y"), elu);
  EXPECT_EQ(RunOpOn("feature_map", {x}, {}).code, 2);
}

TEST(OpValuesTest, AdamWOfOneStep) {
  const std::vector<OwnedTensor> tensors = {
      F32Tensor("parameter", {1}, {1}),
      F32Tensor("gradient", {1}, {4}),
      F32Tensor("first_moment", {1}, {0}),
      F32Tensor("second_moment", {1}, {0}),
      F32Tensor("learning_rate", {1}, {0.5}),
      F32Tensor("clip_factor", {}, {1}),
      I64Tensor("step", {1})};
  ExpectNear(Output("adamw", tensors, {}, "new_parameter"), {0.5});
  ExpectNear(
      Output("adamw", tensors, {"--weight-decay", "0.5"}, "new_parameter"),
      {0.25});
}

TEST(OpValuesTest, NumbersOutsideAreRefused) {
  const CommandOutput output = RunOpOn(
      "embedding",
      {F32Tensor("table", {2, 1}, {1, 2}), I64Tensor("ids", {0, 2})}, {});
  EXPECT_EQ(output.code, 2);
  EXPECT_EQ(output.err, "longspan: ids holds 2, V is 2: in [0, V)\n");
}

}  // namespace
}  // namespace longspan::cli
