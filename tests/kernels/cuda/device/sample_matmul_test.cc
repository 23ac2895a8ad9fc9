// The example kernel: right in every order, and wrong or stopped when any one
// of its barriers, waits, copies or matrix loads is broken.

#include "tests/kernels/cuda/device/sample_matmul.h"

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/cuda/device/bf16.h"
#include "tests/support/cuda_emulator/emulator.h"
#include "tests/support/cuda_emulator/fault_sweep.h"

namespace longspan::kernels::cuda {
namespace {

using emulated::Primitive;

constexpr int kOrders = 20;

class Problem {
 public:
  Problem(int64_t m, int64_t n, int64_t k)
      : m_(m), n_(n), k_(k), a_(Random(m * k, 1)), b_(Random(k * n, 2)) {
    for (int64_t row = 0; row < m; ++row) {
      for (int64_t column = 0; column < n; ++column) {
        expected_.push_back(Expected(row, column));
      }
    }
  }

  // Whether the launch ends well and gives the product.
  bool RunsRight() const {
    std::vector<float> out(expected_.size(), std::nanf(""));
    const SampleMatmulParams params{a_.data(), b_.data(), out.data(),
                                    m_,        n_,        k_};
    bool right = SampleMatmul(params, nullptr) == 0;
    for (size_t i = 0; i < out.size(); ++i) {
      // k terms of size up to about 16, each sum rounded to 2^-24.
      const double bound = 16 * static_cast<double>(k_) * 0x1p-24;
      right = right && std::abs(out[i] - expected_[i]) <= bound;
    }
    return right;
  }

 private:
  static std::vector<Bf16> Random(int64_t count, uint32_t seed) {
    std::mt19937 generator(seed);
    std::normal_distribution<float> normal;
    std::vector<Bf16> values(static_cast<size_t>(count));
    for (Bf16& value : values) {
      value = ToBf16(normal(generator));
    }
    return values;
  }

  double Expected(int64_t row, int64_t column) const {
    double sum = 0;
    for (int64_t i = 0; i < k_; ++i) {
      sum +=
          static_cast<double>(ToFloat(a_[static_cast<size_t>(row * k_ + i)])) *
          ToFloat(b_[static_cast<size_t>(i * n_ + column)]);
    }
    return sum;
  }

  int64_t m_, n_, k_;
  std::vector<Bf16> a_, b_;
  std::vector<double> expected_;
};

TEST(SampleMatmulTest, IsRightInEveryOrder) {
  const Problem problem(70, 72, 104);
  EXPECT_EQ(
      emulated::FailingOrders([&] { return problem.RunsRight(); }, kOrders), 0);
}

TEST(SampleMatmulTest, HandlesTheLastChunkOfEveryDimension) {
  for (int64_t m : {1, 63, 64, 65}) {
    for (int64_t n : {8, 64, 72}) {
      for (int64_t k : {8, 32, 40}) {
        EXPECT_TRUE(Problem(m, n, k).RunsRight()) << m << " " << n << " " << k;
      }
    }
  }
}

TEST(SampleMatmulTest, ItsSwizzleHasNoBankConflicts) {
  emulated::TakeStatistics();
  EXPECT_TRUE(Problem(64, 64, 64).RunsRight());
  const auto statistics = emulated::TakeStatistics().begin()->second;
  EXPECT_EQ(statistics.bank_conflicts, 0);
  EXPECT_EQ(statistics.count(Primitive::kMmaBf16), 4 * 8 * 4);
}

TEST(SampleMatmulTest, EveryPlantedBugIsCaught) {
  const Problem problem(70, 72, 104);
  const auto planted =
      emulated::SweepFaults([&] { return problem.RunsRight(); }, kOrders);
  // Two barriers, a wait (2), a copy (2), two matrix loads, the launch.
  EXPECT_EQ(planted.size(), 9u);
  for (const emulated::PlantedFault& fault : planted) {
    EXPECT_GT(fault.caught, 0) << fault;
  }
}

// A case that looks at nothing notices nothing but launches that fail.
TEST(FaultSweepTest, SaysWhichBugsACaseDoesNotNotice) {
  const Problem problem(70, 72, 104);
  const auto planted = emulated::SweepFaults(
      [&] {
        static_cast<void>(problem.RunsRight());
        return true;
      },
      kOrders);
  int unnoticed = 0;
  for (const emulated::PlantedFault& fault : planted) {
    unnoticed += fault.caught == 0 ? 1 : 0;
  }
  EXPECT_GE(unnoticed, 4);
}

}  // namespace
}  // namespace longspan::kernels::cuda
