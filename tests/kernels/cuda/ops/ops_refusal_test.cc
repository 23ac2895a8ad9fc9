// What the CUDA ops refuse, and ids that they must bear.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/api/bfloat16.h"
#include "tests/kernels/cuda/ops/cuda_op_set.h"
#include "tests/support/cuda_emulator/emulator.h"

namespace longspan::kernels {
namespace {

TEST(CudaOpsRefusalTest, NoOpComputesInDouble) {
  OpSet ops = EmulatedCudaOps();
  std::vector<double> numbers(16);
  const TensorView x(numbers.data(), DType::kF64, {4, 4});
  const absl::Status status = ops.elementwise->Silu(x, x, *ops.stream);
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.message().find("f64"), std::string::npos) << status;
}

TEST(CudaOpsRefusalTest, NormRowsThatDoNotFitIntoRegisters) {
  OpSet ops = EmulatedCudaOps();
  std::vector<float> x(8193);
  std::vector<float> rstd(1);
  const TensorView row(x.data(), DType::kF32, {1, 8193});
  const TensorView weight(x.data(), DType::kF32, {8193});
  const absl::Status status = ops.elementwise->RmsNorm(
      {row, weight, {}, 1e-6}, row, TensorView(rstd.data(), DType::kF32, {1}),
      *ops.stream);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_NE(status.message().find("8193"), std::string::npos) << status;
}

// Ids lie on the device, where nobody can refuse them.
TEST(CudaOpsRefusalTest, IdsOutsideTheVocabularyAreRowZero) {
  OpSet ops = EmulatedCudaOps();
  std::vector<int32_t> ids = {-1, 3, 1, 2000000000};
  std::vector<float> table = {1, 2, 3, 4, 5, 6};
  std::vector<float> out(8, -1.0f);
  const TensorView id(ids.data(), DType::kI32, {4});
  const TensorView rows(out.data(), DType::kF32, {4, 2});
  const TensorView weights(table.data(), DType::kF32, {3, 2});
  ASSERT_EQ(ops.dense->Embed(id, weights, rows, *ops.stream), absl::OkStatus());
  ASSERT_EQ(ops.stream->Synchronize(), absl::OkStatus());
  EXPECT_EQ(out, (std::vector<float>{1, 2, 1, 2, 3, 4, 1, 2}));
  ASSERT_EQ(ops.dense->EmbedBackward(id, rows, weights, *ops.stream),
            absl::OkStatus());
  ASSERT_EQ(ops.stream->Synchronize(), absl::OkStatus());
  EXPECT_EQ(table, (std::vector<float>{4, 8, 6, 8, 5, 6}));
}

// More tokens of one row than a block lists at once: it lists again.
TEST(CudaOpsRefusalTest, EmbedBackwardListsInRounds) {
  constexpr int64_t kTokens = 1500;
  std::vector<int32_t> ids(kTokens, 1);
  std::vector<float> d_out(kTokens, 1.0f);
  const TensorView id(ids.data(), DType::kI32, {kTokens});
  const TensorView rows(d_out.data(), DType::kF32, {kTokens, 1});
  for (uint64_t order = 0; order < 5; ++order) {
    const cuda::emulated::ScopedEmulatorOptions scope(
        cuda::emulated::InOrder(order));
    OpSet ops = EmulatedCudaOps();
    std::vector<float> table = {5.0f, 7.0f};
    ASSERT_EQ(ops.dense->EmbedBackward(
                  id, rows, TensorView(table.data(), DType::kF32, {2, 1}),
                  *ops.stream),
              absl::OkStatus());
    ASSERT_EQ(ops.stream->Synchronize(), absl::OkStatus());
    EXPECT_EQ(table, (std::vector<float>{5.0f, 7.0f + kTokens}));
  }
}

TEST(CudaOpsRefusalTest, AdamWSkipsTheStepAndWritesBf16) {
  OpSet ops = EmulatedCudaOps();
  std::vector<float> p = {1.0f, 2.0f, 3.0f}, g = {1, 1, 1}, m(3), v(3);
  std::vector<BFloat16> compute(3);
  float rate = 0.1f;
  float clip = std::numeric_limits<float>::quiet_NaN();
  int64_t step = 1;
  const auto view = [](std::vector<float>& x) {
    return TensorView(x.data(), DType::kF32, {3});
  };
  AdamWTensor tensor = {view(p), view(g), view(m), view(v), 0.0};
  tensor.compute_parameter = TensorView(compute.data(), DType::kBF16, {3});
  const AdamWScalars scalars = {TensorView(&rate, DType::kF32, {1}),
                                TensorView(&clip, DType::kF32, {1}),
                                TensorView(&step, DType::kI64, {1})};
  ASSERT_EQ(ops.optimizer->AdamW({&tensor, 1}, scalars, {}, *ops.stream),
            absl::OkStatus());
  ASSERT_EQ(ops.stream->Synchronize(), absl::OkStatus());
  EXPECT_EQ(p, (std::vector<float>{1.0f, 2.0f, 3.0f}));
  clip = 1.0f;
  ASSERT_EQ(ops.optimizer->AdamW({&tensor, 1}, scalars, {}, *ops.stream),
            absl::OkStatus());
  ASSERT_EQ(ops.stream->Synchronize(), absl::OkStatus());
  for (int i = 0; i < 3; ++i) {
    EXPECT_NEAR(p[i], i + 0.9f, 1e-5);
    EXPECT_EQ(compute[i].bits, ToBFloat16(p[i]).bits);
  }
}

// More tensors than one launch holds, with blocks that span launches.
TEST(CudaOpsRefusalTest, SumOfSquaresOfManySmallTensors) {
  OpSet ops = EmulatedCudaOps();
  std::vector<float> ones(400, 1.0f);
  std::vector<ConstTensorView> tensors;
  for (float& one : ones)
    tensors.emplace_back(&one, DType::kF32, std::initializer_list<int64_t>{1});
  alignas(64) double workspace[8];
  double out = 0.0;
  ASSERT_EQ(ops.optimizer->SumOfSquares(
                tensors, TensorView(&out, DType::kF64, {1}),
                TensorView(workspace, DType::kU8, {64}), *ops.stream),
            absl::OkStatus());
  ASSERT_EQ(ops.stream->Synchronize(), absl::OkStatus());
  EXPECT_EQ(out, 400.0);
}

TEST(CudaOpsRefusalTest, ClipFactor) {
  OpSet ops = EmulatedCudaOps();
  double squares = 16.0;
  float factor = 0.0f;
  const TensorView in(&squares, DType::kF64, {1});
  const TensorView out(&factor, DType::kF32, {1});
  const auto clip = [&](double value, double max_norm) {
    squares = value;
    EXPECT_EQ(ops.optimizer->ClipFactor(in, max_norm, out, *ops.stream),
              absl::OkStatus());
    EXPECT_EQ(ops.stream->Synchronize(), absl::OkStatus());
    return factor;
  };
  EXPECT_EQ(clip(16.0, 1.0), 0.25f);
  EXPECT_EQ(clip(16.0, 8.0), 1.0f);
  EXPECT_EQ(clip(16.0, 0.0), 1.0f);
  EXPECT_TRUE(std::isnan(clip(std::numeric_limits<double>::infinity(), 1.0)));
  EXPECT_EQ(clip(0.0, 1.0), 1.0f);
}

}  // namespace
}  // namespace longspan::kernels
