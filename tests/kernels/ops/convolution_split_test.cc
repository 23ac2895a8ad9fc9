// A sequence cut anywhere, with the halo passed to the right and its gradient
// to the left, is the whole sequence. As the op asks, halo tokens of another
// document than the part's first are zero, and so are their gradients.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "kernels/cost/workspace.h"
#include "tests/kernels/ops/op_case.h"

namespace longspan::kernels {
namespace {

constexpr int64_t kTokens = 13;
constexpr int64_t kChannels = 5;
constexpr int64_t kKernel = 4;
constexpr int64_t kHalo = kKernel - 1;

struct Results {
  std::vector<double> y, d_x, d_weight;
};

class ConvolutionSplitTest
    : public ::testing::TestWithParam<std::vector<int64_t>> {
 protected:
  ConvolutionSplitTest()
      : operands_({{"x", Role::kInput, {1, kHalo + kTokens, kChannels}},
                   {"weight", Role::kInput, {kChannels, kKernel}},
                   {"y", Role::kOutput, {1, kTokens, kChannels}},
                   {"d_y", Role::kInput, {1, kTokens, kChannels}},
                   {"d_x", Role::kOutput, {1, kTokens, kChannels}},
                   {"d_weight", Role::kOutput, {kChannels, kKernel}}},
                  DType::kF64) {
    // The first tokens stand in for the halo of the whole: zero.
    for (int64_t i = 0; i < kHalo * kChannels; ++i) operands_.Set("x", i, 0.0);
  }

  // Tokens of the halo of `begin` that lie in an earlier document.
  int64_t ForeignHaloTokens(int64_t begin) {
    int64_t document = begin - kHalo;
    for (int64_t start : GetParam()) {
      if (start <= begin) document = std::max(document, start);
    }
    return std::min(document - (begin - kHalo), kHalo);
  }

  // The part [begin, end): its inputs, with x before `begin` as the halo.
  ShortConvolutionInputs Part(int64_t begin, int64_t end,
                              std::vector<int64_t>& starts) {
    for (int64_t start : GetParam()) {
      if (begin <= start && start < end) starts.push_back(start - begin);
    }
    const TensorView x = operands_["x"];
    const std::vector<double> values = operands_.Values("x");
    halo_.assign(values.begin() + begin * kChannels,
                 values.begin() + (begin + kHalo) * kChannels);
    std::fill_n(halo_.begin(), ForeignHaloTokens(begin) * kChannels, 0.0);
    return {x.Slice(1, kHalo + begin, kHalo + end),
            operands_["weight"],
            TensorView(halo_.data(), DType::kF64, {1, kHalo, kChannels}),
            true,
            {starts.data(), static_cast<int64_t>(starts.size())}};
  }

  Results Run(const std::vector<int64_t>& borders) {
    for (int64_t i = 0; i < kChannels * kKernel; ++i) {
      operands_.Set("d_weight", i, 0.0);
    }
    std::vector<double> halo_gradient(kHalo * kChannels);
    const TensorView d_halo(halo_gradient.data(), DType::kF64,
                            {1, kHalo, kChannels});
    // From the right, as gradients travel.
    for (size_t i = borders.size() - 1; i > 0; --i) {
      RunPart(borders[i - 1], borders[i], d_halo);
      AddHaloGradient(borders[i - 1], halo_gradient);
    }
    return {operands_.Values("y"), d_x_, operands_.Values("d_weight")};
  }

  void RunPart(int64_t begin, int64_t end, TensorView d_halo) {
    std::vector<int64_t> starts;
    const ShortConvolutionInputs inputs = Part(begin, end, starts);
    const TensorView d_x = operands_["d_x"].Slice(1, begin, end);
    const TensorView workspace =
        operands_.Workspace(ShortConvolutionBackwardWorkspaceBytes(
            1, end - begin, kChannels, kKernel, 8, ops_.kind, 1));
    EXPECT_EQ(ops_.short_convolution->Forward(
                  inputs, operands_["y"].Slice(1, begin, end), *ops_.stream),
              absl::OkStatus());
    EXPECT_EQ(
        ops_.short_convolution->Backward(
            inputs, operands_["d_y"].Slice(1, begin, end),
            {d_x, operands_["d_weight"], d_halo}, workspace, *ops_.stream),
        absl::OkStatus());
    const std::vector<double> part = operands_.Values("d_x");
    for (int64_t i = begin * kChannels; i < end * kChannels; ++i) {
      d_x_[i] += part[i];
    }
  }

  // What the part from `begin` on sends to the tokens before it.
  void AddHaloGradient(int64_t begin, const std::vector<double>& gradient) {
    const int64_t first = ForeignHaloTokens(begin) * kChannels;
    for (int64_t i = first; i < kHalo * kChannels; ++i) {
      const int64_t at = (begin - kHalo) * kChannels + i;
      if (at >= 0) d_x_[at] += gradient[i];
    }
  }

  OpSet ops_ = CpuOps(1);
  Operands operands_;
  std::vector<double> halo_;
  std::vector<double> d_x_ = std::vector<double>(kTokens * kChannels, 0.0);
};

TEST_P(ConvolutionSplitTest, AnyCutGivesTheWhole) {
  const Results whole = Run({0, kTokens});
  for (int64_t cut = 1; cut < kTokens; ++cut) {
    for (int64_t second : {cut + 1, kTokens - 1}) {
      std::vector<int64_t> borders = {0, cut, kTokens};
      if (cut < second && second < kTokens) {
        borders = {0, cut, second, kTokens};
      }
      d_x_.assign(kTokens * kChannels, 0.0);
      const Results parts = Run(borders);
      EXPECT_LE(RelativeRms(parts.y, whole.y), 1e-14) << cut;
      EXPECT_LE(RelativeRms(parts.d_x, whole.d_x), 1e-14) << cut;
      EXPECT_LE(RelativeRms(parts.d_weight, whole.d_weight), 1e-14) << cut;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Documents, ConvolutionSplitTest,
                         ::testing::Values(std::vector<int64_t>{},
                                           std::vector<int64_t>{4, 5, 10},
                                           std::vector<int64_t>{0, 7}));

}  // namespace
}  // namespace longspan::kernels
