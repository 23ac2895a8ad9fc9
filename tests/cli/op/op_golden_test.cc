// The command against numbers that another implementation made: the naive
// recurrences of flash-linear-attention (tests/golden/linear_attention.py).
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "tests/cli/op/op_files.h"
#include "tests/support/golden.h"

namespace longspan::cli {
namespace {

constexpr double kTolerance = 1e-5;  // the numbers are float32
constexpr int64_t kTokens = 70;

// `values` of the generator.
OwnedTensor GoldenTensor(const std::string& name, int64_t seed, double low,
                         double high, const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (int64_t size : shape) count *= size;
  std::vector<double> values(count);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t numerator = GoldenNumerator(seed, i);
    values[i] = low + (high - low) * numerator / kGoldenDenominator;
  }
  return F32Tensor(name, shape, values);
}

struct GoldenCase {
  const char* name;
  int gate_width = 0;  // of each token and head: 0, 1 or Dk
  bool delta = false;
};

std::vector<OwnedTensor> TensorsOf(const GoldenCase& c) {
  const bool retention = std::string(c.name) == "constant";
  const double key = c.delta ? 0.7 : 1.0;
  std::vector<OwnedTensor> tensors = {
      GoldenTensor("q", 1, -1, 1, {1, kTokens, 2, 4}),
      GoldenTensor("k", 2, -key, key, {1, kTokens, 2, 4}),
      GoldenTensor("v", 3, -1, 1, {1, kTokens, 2, 3}),
      GoldenTensor("d_o", 4, -1, 1, {1, kTokens, 2, 3})};
  if (retention) {
    tensors.push_back(F32Tensor(
        "log_decay", {2}, {std::log1p(-1.0 / 32), std::log1p(-1.0 / 64)}));
  } else {
    tensors.push_back(GoldenTensor("initial_state", 5, -1, 1, {1, 2, 4, 3}));
    tensors.push_back(GoldenTensor("d_final_state", 6, -1, 1, {1, 2, 4, 3}));
  }
  if (c.gate_width == 1) {
    tensors.push_back(GoldenTensor("log_gate", 7, -0.5, 0, {1, kTokens, 2}));
  } else if (c.gate_width > 1) {
    tensors.push_back(GoldenTensor("log_gate", 7, -0.5, 0, {1, kTokens, 2, 4}));
  }
  if (c.delta)
    tensors.push_back(GoldenTensor("beta", 8, 0, 1, {1, kTokens, 2}));
  return tensors;
}

class OpGoldenTest : public testing::TestWithParam<GoldenCase> {};

TEST_P(OpGoldenTest, LinearAttention) {
  const auto golden =
      ReadGolden(std::string("linear_attention_") + GetParam().name);
  ASSERT_GE(golden.size(), 4u);
  const std::vector<std::vector<std::string>> places = {
      {"--backend", "reference", "--dtype", "f64"},
      {"--backend", "cpu", "--dtype", "f64"},
      {"--backend", "cpu"}};
  for (const std::vector<std::string>& place : places) {
    const CommandOutput output =
        RunOpOn("linear_attention", TensorsOf(GetParam()), place);
    ASSERT_EQ(output.code, 0) << output.err;
    const auto tensors = ReadTensors(OpFile("out"));
    for (const auto& [name, expected] : golden) {
      ASSERT_EQ(tensors.count(name), 1u) << name;
      EXPECT_LE(RelativeRms(tensors.at(name), expected), kTolerance) << name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(FlashLinearAttention, OpGoldenTest,
                         testing::Values(GoldenCase{"identity"},
                                         GoldenCase{"constant"},
                                         GoldenCase{"scalar", 1},
                                         GoldenCase{"vector", 4},
                                         GoldenCase{"delta", 0, true},
                                         GoldenCase{"gated_delta", 1, true},
                                         GoldenCase{"kda", 4, true}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace longspan::cli
