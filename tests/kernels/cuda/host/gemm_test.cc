#include "kernels/cuda/gemm.h"

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "kernels/api/bfloat16.h"
#include "tests/kernels/cuda/host/host_test.h"

namespace longspan::kernels::cuda {
namespace {

constexpr int64_t kM = 5;
constexpr int64_t kN = 7;
constexpr int64_t kK = 9;

struct Case {
  std::string name;
  DType operand;
  DType result;
  MatMulOptions options;
};

// Small integers: every sum is exact in f32, and in bf16 below 256.
int Value(int64_t row, int64_t column) {
  return static_cast<int>((3 * row + 5 * column) % 7) - 3;
}

class GemmTest : public HostTest, public testing::WithParamInterface<Case> {
 protected:
  // [rows, columns] in memory with two columns of padding.
  TensorView Make(DType dtype, int64_t rows, int64_t columns) {
    const int64_t padded = columns + 2;
    std::vector<float> values;
    std::vector<BFloat16> narrow;
    for (int64_t i = 0; i < rows * padded; ++i) {
      values.push_back(static_cast<float>(Value(i / padded, i % padded)));
      narrow.push_back(ToBFloat16(values.back()));
    }
    void* const data = dtype == DType::kBF16
                           ? static_cast<void*>(Upload(narrow))
                           : Upload(values);
    return TensorView(data, dtype, {rows, padded}).Slice(1, 0, columns);
  }

  std::vector<float> Read(TensorView view) {
    const int64_t count = view.size(0) * view.stride(0);
    if (view.dtype() == DType::kF32) {
      return Download(view.data_as<float>(), count);
    }
    std::vector<float> values;
    for (BFloat16 x : Download(view.data_as<BFloat16>(), count)) {
      values.push_back(ToFloat(x));
    }
    return values;
  }

  const std::unique_ptr<Gemm> gemm_ = CreateGemm();
};

float Expected(const Case& c, int64_t row, int64_t column) {
  float sum =
      c.options.accumulate ? static_cast<float>(Value(row, column)) : 0.0f;
  for (int64_t k = 0; k < kK; ++k) {
    const int a = c.options.transpose_a ? Value(k, row) : Value(row, k);
    const int b = c.options.transpose_b ? Value(column, k) : Value(k, column);
    sum += static_cast<float>(a * b);
  }
  return sum;
}

TEST_P(GemmTest, MultipliesAndLeavesThePaddingAlone) {
  const Case& c = GetParam();
  const TensorView a =
      c.options.transpose_a ? Make(c.operand, kK, kM) : Make(c.operand, kM, kK);
  const TensorView b =
      c.options.transpose_b ? Make(c.operand, kN, kK) : Make(c.operand, kK, kN);
  const TensorView result = Make(c.result, kM, kN);
  const absl::Status status = gemm_->Run(a, b, result, c.options, *stream_);
  ASSERT_TRUE(status.ok()) << status;
  const std::vector<float> values = Read(result);
  for (int64_t i = 0; i < kM; ++i) {
    for (int64_t j = 0; j < kN + 2; ++j) {
      const float expected =
          j < kN ? Expected(c, i, j) : static_cast<float>(Value(i, j));
      EXPECT_EQ(values[static_cast<size_t>(i * (kN + 2) + j)], expected)
          << i << ", " << j;
    }
  }
}

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (int bits = 0; bits < 8; ++bits) {
    const MatMulOptions options{.transpose_a = (bits & 1) != 0,
                                .transpose_b = (bits & 2) != 0,
                                .accumulate = (bits & 4) != 0};
    const std::string name = std::to_string(bits);
    cases.push_back({"Bf16_" + name, DType::kBF16, DType::kBF16, options});
    cases.push_back({"Bf16ToF32_" + name, DType::kBF16, DType::kF32, options});
    cases.push_back({"F32_" + name, DType::kF32, DType::kF32, options});
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(All, GemmTest, testing::ValuesIn(Cases()),
                         [](const auto& info) { return info.param.name; });

TEST(GemmTypes, OthersAreRefusedByName) {
  float x = 0.0f;
  const ConstTensorView f32(&x, DType::kF32, {1, 1});
  const ConstTensorView f64(&x, DType::kF64, {1, 1});
  const ConstTensorView bf16(&x, DType::kBF16, {1, 1});
  EXPECT_TRUE(CheckGemm(bf16, bf16, f32, {}).ok());
  for (const auto& [a, b, c] :
       {std::array{f64, f64, f64}, std::array{f32, f32, bf16},
        std::array{f32, bf16, f32}}) {
    const absl::Status status = CheckGemm(a, b, c, {});
    EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
    EXPECT_THAT(std::string(status.message()),
                testing::HasSubstr(DTypeName(c.dtype())));
  }
}

}  // namespace
}  // namespace longspan::kernels::cuda
