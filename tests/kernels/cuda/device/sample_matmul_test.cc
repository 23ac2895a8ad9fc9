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

namespace longspan::kernels::cuda {
namespace {

using emulated::EmulatorOptions;
using emulated::Fault;
using emulated::FaultKind;
using emulated::Primitive;
using emulated::PrimitiveSite;
using emulated::ScopedEmulatorOptions;

constexpr uint64_t kOrders = 20;

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
  for (uint64_t seed = 0; seed < kOrders; ++seed) {
    const ScopedEmulatorOptions scope(EmulatorOptions{.seed = seed});
    EXPECT_TRUE(problem.RunsRight()) << "seed " << seed;
  }
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

// In how many of the orders the fault shows.
int OrdersThatShow(const Problem& problem, const Fault& fault) {
  int shown = 0;
  for (uint64_t seed = 0; seed < kOrders; ++seed) {
    EmulatorOptions options{
        .seed = seed, .trap_copies_under_way = false, .print_failures = false};
    options.fault = fault;
    const ScopedEmulatorOptions scope(options);
    shown += problem.RunsRight() ? 0 : 1;
  }
  return shown;
}

std::vector<PrimitiveSite> SitesOf(const Problem& problem) {
  EmulatorOptions options;
  options.record_sites = true;
  const ScopedEmulatorOptions scope(options);
  emulated::TakeSites();
  EXPECT_TRUE(problem.RunsRight());
  return emulated::TakeSites();
}

// What can be wrong with a use of a primitive.
std::vector<FaultKind> FaultsOf(Primitive primitive) {
  switch (primitive) {
    case Primitive::kSyncBlock:
      return {FaultKind::kDrop};
    case Primitive::kCopyAsync:
      return {FaultKind::kDrop, FaultKind::kFullCopy};
    case Primitive::kCopyAsyncWait:
      return {FaultKind::kDrop, FaultKind::kLateWait};
    case Primitive::kLoadMatrix4:
    case Primitive::kLoadMatrix4Transposed:
      return {FaultKind::kSkew};
    default:
      return {};
  }
}

TEST(SampleMatmulTest, EveryPlantedBugIsCaught) {
  const Problem problem(70, 72, 104);
  int planted = 0;
  for (const PrimitiveSite& site : SitesOf(problem)) {
    for (FaultKind kind : FaultsOf(site.primitive)) {
      EXPECT_GE(OrdersThatShow(problem, {kind, site.file, site.line}), 1)
          << emulated::NameOf(site.primitive) << " on line " << site.line
          << ", fault " << static_cast<int>(kind);
      ++planted;
    }
  }
  // Two barriers, a wait (2), a copy (2), two matrix loads.
  EXPECT_EQ(planted, 8);
  emulated::TakeLaunchFailures();
}

}  // namespace
}  // namespace longspan::kernels::cuda
