// The CUDA kernels on the emulator against the reference in f64, every case of
// the list, bf16 and f32, outputs and workspaces poisoned beforehand.
#include <cmath>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/cost/cuda_softmax_attention_plan.h"
#include "kernels/reference/reference_ops.h"
#include "tests/kernels/cuda/softmax_attention/emulated_softmax_attention.h"
#include "tests/support/attention/softmax_attention_cases.h"
#include "tests/support/cuda_emulator/emulator.h"

namespace longspan::kernels::cuda {
namespace {

SoftmaxAttentionResults RunKernels(const SoftmaxAttentionProblem& problem) {
  EndedStream stream;
  return problem.Run(*CreateEmulatedSoftmaxAttention(), stream,
                     BackendKind::kCuda, 1);
}

// In double, from operands as `problem` holds them.
SoftmaxAttentionResults RunReference(const SoftmaxAttentionProblem& problem) {
  EndedStream stream;
  const SoftmaxAttentionProblem exact(problem.case_of(), DType::kF64);
  FromDoubles(ToDoubles(problem.q()), exact.q());
  FromDoubles(ToDoubles(problem.k()), exact.k());
  FromDoubles(ToDoubles(problem.v()), exact.v());
  FromDoubles(ToDoubles(problem.d_o()), exact.d_o());
  return exact.Run(*CreateReferenceSoftmaxAttention(), stream,
                   BackendKind::kReference, 1);
}

void ExpectClose(const std::vector<double>& actual,
                 const std::vector<double>& expected, double tolerance,
                 const char* what) {
  ASSERT_EQ(actual.size(), expected.size()) << what;
  if (Rms(expected) == 0.0) {
    // One key per query: two terms of size 0.4 cancel, each with 2^-16 of error
    // where f32 is held as two planes.
    EXPECT_LE(Rms(actual), 0.4 * 0x1p-16) << what;
  } else {
    EXPECT_LE(RelativeRms(actual, expected), tolerance) << what;
  }
}

// Absolute: lse is a sum of few to hundreds of exponentials.
void ExpectLse(const std::vector<double>& actual,
               const std::vector<double>& expected, double tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    if (std::isinf(expected[i])) {
      EXPECT_EQ(actual[i], expected[i]) << "query " << i;
    } else {
      EXPECT_NEAR(actual[i], expected[i], tolerance) << "query " << i;
    }
  }
}

void ExpectAgrees(const SoftmaxAttentionCase& c, DType dtype) {
  SCOPED_TRACE(c.name + " " + DTypeName(dtype));
  const double tolerance = dtype == DType::kBF16 ? 5e-3 : 1e-3;
  const SoftmaxAttentionProblem problem(c, dtype);
  const SoftmaxAttentionResults expected = RunReference(problem);
  const SoftmaxAttentionResults actual = RunKernels(problem);
  ExpectClose(actual.o, expected.o, tolerance, "o");
  ExpectLse(actual.lse, expected.lse, 1e-3);
  ExpectClose(actual.d_q, expected.d_q, tolerance, "d_q");
  ExpectClose(actual.d_k, expected.d_k, tolerance, "d_k");
  ExpectClose(actual.d_v, expected.d_v, tolerance, "d_v");
}

// A case and its place in the list, which is also its order.
struct NumberedCase {
  SoftmaxAttentionCase c;
  uint64_t number = 0;
};

std::string NameOf(const testing::TestParamInfo<NumberedCase>& info) {
  return info.param.c.name;
}

std::vector<NumberedCase> Numbered(
    const std::function<bool(const SoftmaxAttentionCase&)>& wanted) {
  std::vector<NumberedCase> cases;
  uint64_t number = 0;
  for (const SoftmaxAttentionCase& c : SoftmaxAttentionCases()) {
    if (wanted(c)) cases.push_back({c, number});
    ++number;
  }
  return cases;
}

class CudaSoftmaxAttentionBf16 : public testing::TestWithParam<NumberedCase> {};

TEST_P(CudaSoftmaxAttentionBf16, AgreesWithReference) {
  const emulated::ScopedEmulatorOptions order(
      emulated::InOrder(GetParam().number));
  ExpectAgrees(GetParam().c, DType::kBF16);
}

INSTANTIATE_TEST_SUITE_P(Cases, CudaSoftmaxAttentionBf16,
                         testing::ValuesIn(Numbered(
                             [](const SoftmaxAttentionCase&) { return true; })),
                         NameOf);

// Masks, documents and groups reach the kernels as ranges of keys and strides,
// whatever the type of the operands. What f32 changes are the tiles: every
// head size, the lengths around a tile, and one of each of the others.
bool MattersToF32(const SoftmaxAttentionCase& c) {
  const bool square = c.query_tokens == c.key_tokens;
  if (!c.document_starts.empty()) {
    return c.query_offset == 50 && c.document_starts.size() == 4 &&
           c.document_starts[0] == 0;
  }
  if (square) return c.batch == 1 && c.query_tokens <= 65;
  if (c.batch > 1) return c.heads == 4;
  return c.query_offset == 100 && (c.window == 0 || c.window == 17);
}

class CudaSoftmaxAttentionF32 : public testing::TestWithParam<NumberedCase> {};

TEST_P(CudaSoftmaxAttentionF32, AgreesWithReference) {
  const emulated::ScopedEmulatorOptions order(
      emulated::InOrder(GetParam().number));
  ExpectAgrees(GetParam().c, DType::kF32);
}

INSTANTIATE_TEST_SUITE_P(Cases, CudaSoftmaxAttentionF32,
                         testing::ValuesIn(Numbered(MattersToF32)), NameOf);

SoftmaxAttentionCase Decode(int64_t key_tokens, int64_t heads,
                            int64_t key_heads) {
  SoftmaxAttentionCase c;
  c.name = "Decode";
  c.key_tokens = key_tokens;
  c.heads = heads;
  c.key_heads = key_heads;
  c.head_dim = 64;
  c.query_offset = key_tokens - 1;
  return c;
}

TEST(CudaSoftmaxAttention, OneQueryIsSplitOverKeys) {
  const SoftmaxAttentionCase c = Decode(700, 4, 2);
  EXPECT_GT(
      PlanCudaAttentionForward(SoftmaxAttentionProblem(c, DType::kBF16).shape())
          .splits,
      1);
  ExpectAgrees(c, DType::kBF16);
  ExpectAgrees(c, DType::kF32);
}

TEST(CudaSoftmaxAttention, SplitsEqualTheWhole) {
  const SoftmaxAttentionProblem problem(Decode(700, 4, 2), DType::kF32);
  const auto outputs = [&](int splits) {
    EndedStream stream;
    HostTensor o(DType::kF32, {1, 1, 4, 64}), lse(DType::kF32, {1, 4, 1});
    const HostTensor workspace = HostTensor::Workspace(
        PlanCudaAttentionForwardSplit(problem.shape(), splits).workspace_bytes);
    EXPECT_TRUE(CreateEmulatedSoftmaxAttention(splits)
                    ->Forward(problem.inputs(), o.view(), lse.view(),
                              workspace.view(), stream)
                    .ok());
    return o.ToDoubles();
  };
  const std::vector<double> whole = outputs(1);
  for (int splits : {2, 5, 40}) {
    EXPECT_LE(RelativeRms(outputs(splits), whole), 1e-5) << splits;
  }
}

// Warps, lanes and blocks in 20 orders.
TEST(CudaSoftmaxAttention, BitIdenticalInEveryOrder) {
  SoftmaxAttentionCase c;
  c.name = "Orders";
  c.query_tokens = c.key_tokens = 130;
  c.heads = 2;
  c.head_dim = 16;
  c.document_starts = {0, 15, 100};
  const SoftmaxAttentionProblem problem(c, DType::kBF16);
  const SoftmaxAttentionResults first = RunKernels(problem);
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const emulated::ScopedEmulatorOptions scoped(emulated::InOrder(seed));
    const SoftmaxAttentionResults other = RunKernels(problem);
    EXPECT_EQ(other.o, first.o) << seed;
    EXPECT_EQ(other.lse, first.lse) << seed;
    EXPECT_EQ(other.d_q, first.d_q) << seed;
    EXPECT_EQ(other.d_k, first.d_k) << seed;
    EXPECT_EQ(other.d_v, first.d_v) << seed;
  }
}

}  // namespace
}  // namespace longspan::kernels::cuda
