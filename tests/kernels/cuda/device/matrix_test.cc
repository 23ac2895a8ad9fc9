// ldmatrix and mma.sync against the fragment tables of the PTX ISA, restated
// here element by element and independently of the emulator's code.

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/cuda/device/device.h"
#include "tests/support/cuda_emulator/emulator.h"

namespace longspan::kernels::cuda {
namespace {

using emulated::Primitive;

struct LoadParams {
  uint32_t* out;  // (32 lanes, 4 registers)
  bool transposed;
  int count;
  uint32_t row_bytes;
};

// Element (row, column) of matrix m is 1000 m + 10 row + column.
void FillMatrices(unsigned char* shared, uint32_t row_bytes) {
  for (int m = 0; m < 4; ++m) {
    for (int row = 0; row < 8; ++row) {
      for (int column = 0; column < 8; ++column) {
        const auto value = static_cast<uint16_t>(1000 * m + 10 * row + column);
        std::memcpy(shared + static_cast<uint32_t>(8 * m + row) * row_bytes +
                        2 * column,
                    &value, 2);
      }
    }
  }
}

LONGSPAN_KERNEL(32, 1) LoadKernel(const LoadParams p) {
  if (ThreadIndex() == 0) {
    FillMatrices(SharedMemory(), p.row_bytes);
  }
  SyncBlock();
  const unsigned char* row =
      SharedMemory() + static_cast<uint32_t>(LaneIndex()) * p.row_bytes;
  uint32_t four[4] = {};
  uint32_t two[2] = {};
  if (p.count == 4 && p.transposed) {
    LoadMatrix4Transposed(four, row);
  } else if (p.count == 4) {
    LoadMatrix4(four, row);
  } else if (p.transposed) {
    LoadMatrix2Transposed(two, row);
  } else {
    LoadMatrix2(two, row);
  }
  for (int i = 0; i < p.count; ++i) {
    p.out[4 * LaneIndex() + i] = p.count == 4 ? four[i] : two[i];
  }
}

std::vector<uint32_t> Load(int count, bool transposed, uint32_t row_bytes) {
  std::vector<uint32_t> out(32 * 4, 0);
  const LoadParams params{out.data(), transposed, count, row_bytes};
  const LaunchShape shape{.blocks = 1,
                          .threads = 32,
                          .shared_bytes = static_cast<int>(32 * row_bytes)};
  EXPECT_EQ(LaunchKernel(LoadKernel, shape, nullptr, params), 0);
  return out;
}

class LoadMatrixTest : public ::testing::TestWithParam<bool> {};

// PTX ISA, ldmatrix: "each thread holds a fragment consisting of 32 bits";
// thread 0 has elements 0 and 1 of row 0, thread 3 elements 6 and 7, thread 4
// elements 0 and 1 of row 1, and so on; with .trans rows and columns change
// places.
TEST_P(LoadMatrixTest, GivesEachLaneItsPairOfEachMatrix) {
  const bool transposed = GetParam();
  for (int count : {2, 4}) {
    const auto out = Load(count, transposed, 16);
    for (int m = 0; m < count; ++m) {
      for (int row = 0; row < 8; ++row) {
        for (int column = 0; column < 8; ++column) {
          const int lane = 4 * row + column / 2;
          const uint32_t pair = out[static_cast<size_t>(4 * lane + m)];
          const uint32_t value = column % 2 == 0 ? pair & 0xFFFF : pair >> 16;
          const int expected =
              transposed ? 10 * column + row : 10 * row + column;
          EXPECT_EQ(value, static_cast<uint32_t>(1000 * m + expected));
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Transposed, LoadMatrixTest, ::testing::Bool());

TEST(LoadMatrixTest, CountsBankConflicts) {
  emulated::TakeStatistics();
  Load(4, false, 16);  // 8 rows next to each other
  EXPECT_EQ(emulated::TakeStatistics().begin()->second.bank_conflicts, 0);
  Load(4, false, 32);  // every second group of banks
  EXPECT_EQ(emulated::TakeStatistics().begin()->second.bank_conflicts, 4);
  Load(2, false, 128);  // all in one
  EXPECT_EQ(emulated::TakeStatistics().begin()->second.bank_conflicts, 14);
}

struct MmaParams {
  const float* a;  // (16, 16)
  const float* b;  // (16, 8)
  float* d;        // (16, 8), in and out
};

// Fills the fragments by the formulas of the PTX ISA, "Matrix fragments for
// mma.m16n8k16 with floating point type": groupID = lane >> 2,
// threadID_in_group = lane % 4.
LONGSPAN_KERNEL(32, 1) MmaKernel(const MmaParams p) {
  const int group = LaneIndex() >> 2;
  const int in_group = LaneIndex() % 4;
  float a_values[8];
  for (int i = 0; i < 8; ++i) {
    const bool upper = (0 <= i && i < 2) || (4 <= i && i < 6);
    const int row = upper ? group : group + 8;
    const int column = in_group * 2 + (i & 1) + (i < 4 ? 0 : 8);
    a_values[i] = p.a[16 * row + column];
  }
  float b_values[4];
  for (int i = 0; i < 4; ++i) {
    const int row = in_group * 2 + (i & 1) + (i < 2 ? 0 : 8);
    b_values[i] = p.b[8 * row + group];
  }
  uint32_t a[4];
  uint32_t b[2];
  float d[4];
  for (int i = 0; i < 4; ++i) {
    a[i] = PackBf16(a_values[2 * i], a_values[2 * i + 1]);
    const int row = i < 2 ? group : group + 8;
    d[i] = p.d[8 * row + in_group * 2 + (i & 1)];
  }
  for (int i = 0; i < 2; ++i) {
    b[i] = PackBf16(b_values[2 * i], b_values[2 * i + 1]);
  }
  MmaBf16(d, a, b);
  for (int i = 0; i < 4; ++i) {
    const int row = i < 2 ? group : group + 8;
    p.d[8 * row + in_group * 2 + (i & 1)] = d[i];
  }
}

std::vector<float> RandomBf16(size_t count, uint32_t seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) {
    value = ToFloat(ToBf16(normal(generator)));
  }
  return values;
}

TEST(MmaTest, IsTheProductOfTheTiles) {
  const auto a = RandomBf16(16 * 16, 1);
  const auto b = RandomBf16(16 * 8, 2);
  const auto c = RandomBf16(16 * 8, 3);
  std::vector<float> d = c;
  const LaunchShape shape{.blocks = 1, .threads = 32};
  ASSERT_EQ(LaunchKernel(MmaKernel, shape, nullptr,
                         MmaParams{a.data(), b.data(), d.data()}),
            0);
  for (size_t row = 0; row < 16; ++row) {
    for (size_t column = 0; column < 8; ++column) {
      double exact = c[8 * row + column];
      for (size_t k = 0; k < 16; ++k) {
        exact += static_cast<double>(a[16 * row + k]) * b[8 * k + column];
      }
      EXPECT_NEAR(d[8 * row + column], exact, 16 * 0x1p-24 * 16);
    }
  }
}

// One element of A, B and the accumulator at a time: each must reach its place
// and no other, exactly.
TEST(MmaTest, EveryElementReachesItsPlaceExactly) {
  const LaunchShape shape{.blocks = 1, .threads = 32};
  for (size_t row = 0; row < 16; ++row) {
    for (size_t k = 0; k < 16; ++k) {
      const size_t column = (row + k) % 8;
      std::vector<float> a(256, 0), b(128, 0), d(128, 0), expected(128, 0);
      a[16 * row + k] = 1.0078125f;
      b[8 * k + column] = 1.9921875f;
      d[8 * row + (column + 1) % 8] = 3;
      expected[8 * row + column] = 1.0078125f * 1.9921875f;
      expected[8 * row + (column + 1) % 8] = 3;
      ASSERT_EQ(LaunchKernel(MmaKernel, shape, nullptr,
                             MmaParams{a.data(), b.data(), d.data()}),
                0);
      EXPECT_EQ(d, expected) << row << " " << k;
    }
  }
}

}  // namespace
}  // namespace longspan::kernels::cuda
