// Copies between f32 and bf16: those of the reference, bit for bit, and what
// cannot be told from its neighbours is the even one.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/api/bfloat16.h"
#include "tests/kernels/ops/op_case.h"

namespace longspan::kernels {
namespace {

std::vector<uint16_t> BitsOf(const HostTensor& tensor) {
  const auto* from = tensor.view().data_as<BFloat16>();
  std::vector<uint16_t> bits;
  for (int64_t i = 0; i < tensor.view().element_count(); ++i) {
    bits.push_back(from[i].bits);
  }
  return bits;
}

TEST(CopyTest, RoundsToBf16AsTheReferenceDoes) {
  HostTensor from(DType::kF32, {67, 130});
  FillUniform(5, -1e3, 1e3, from.view());
  const float infinity = std::numeric_limits<float>::infinity();
  const float special[] = {0.0f, -0.0f, infinity, 3.4e38f, 1e-40f};
  std::copy(std::begin(special), std::end(special),
            from.view().data_as<float>());
  // The columns of a wider matrix.
  const TensorView columns = from.view().Slice(1, 0, 129);
  HostTensor expected(DType::kBF16, {67, 129});
  OpSet reference = ReferenceOps();
  ASSERT_EQ(
      reference.elementwise->Copy(columns, expected.view(), *reference.stream),
      absl::OkStatus());
  for (int threads : {1, 3}) {
    OpSet cpu = CpuOps(threads);
    HostTensor narrow(DType::kBF16, {67, 129});
    ASSERT_EQ(cpu.elementwise->Copy(columns, narrow.view(), *cpu.stream),
              absl::OkStatus());
    EXPECT_EQ(BitsOf(narrow), BitsOf(expected));
    HostTensor wide(DType::kF32, {67, 129});
    ASSERT_EQ(cpu.elementwise->Copy(narrow.view(), wide.view(), *cpu.stream),
              absl::OkStatus());
    EXPECT_EQ(wide.ToDoubles(), narrow.ToDoubles());
  }
}

TEST(CopyTest, TiesGoToTheEvenNeighbour) {
  // bf16 has 8 bits: between 256 and 512 every second whole number.
  HostTensor from(DType::kF32, {1, 4});
  const float values[] = {257, 259, 258.5, NAN};
  std::copy(std::begin(values), std::end(values), from.view().data_as<float>());
  OpSet cpu = CpuOps(1);
  HostTensor narrow(DType::kBF16, {1, 4});
  ASSERT_EQ(cpu.elementwise->Copy(from.view(), narrow.view(), *cpu.stream),
            absl::OkStatus());
  const std::vector<double> rounded = narrow.ToDoubles();
  EXPECT_EQ(rounded[0], 256);
  EXPECT_EQ(rounded[1], 260);
  EXPECT_EQ(rounded[2], 258);
  EXPECT_TRUE(std::isnan(rounded[3]));
}

TEST(CopyTest, F64DoesNotBecomeBf16) {
  OpSet cpu = CpuOps(1);
  HostTensor from(DType::kF64, {1, 4}), to(DType::kBF16, {1, 4});
  EXPECT_EQ(cpu.elementwise->Copy(from.view(), to.view(), *cpu.stream).code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace longspan::kernels
