// The kernels against the reference in double, on operands rounded as the
// kernels see them. Outputs and workspaces are poisoned.
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "gtest/gtest.h"
#include "kernels/cuda/cuda_ops.h"
#include "kernels/reference/reference_ops.h"
#include "tests/kernels/cuda/linear_attention/cuda_linear_attention.h"
#include "tests/support/attention/linear_attention_cases.h"
#include "tests/support/attention/linear_attention_problem.h"
#include "tests/support/cuda_emulator/emulator.h"

namespace longspan::kernels::cuda {
namespace {

using Cases = std::vector<LinearAttentionCase>;

// A case's place in the list is also the number of its order.
uint64_t NumberOf(const LinearAttentionCase& wanted) {
  uint64_t number = 0;
  for (const LinearAttentionCase& c : LinearAttentionCases()) {
    if (c.name == wanted.name) break;
    ++number;
  }
  return number;
}

void ExpectAgrees(const LinearAttentionCase& c, DType dtype, Passes passes) {
  const emulated::ScopedEmulatorOptions order(emulated::InOrder(NumberOf(c)));
  static Device& device = *new Device();
  const LinearAttentionProblem problem(c, dtype);
  ExpectResults(device.Run(problem, passes),
                Reference(problem, device.stream()), dtype);
  EXPECT_EQ(emulated::TakeLaunchFailures(), "");
}

bool IsHeadSize(const LinearAttentionCase& c) { return c.tokens == 67; }

// Few chunks, one for every way that a state reaches a chunk.
bool IsSmall(const LinearAttentionCase& c) {
  if (!c.document_starts.empty()) {
    return c.document_starts == std::vector<int64_t>{0, 15, 100, 201};
  }
  if (c.gates == Gates::kClosed) return true;
  return c.batch * c.heads == 1 && (c.tokens == 1 || c.tokens == 65);
}

// Gates and documents reach the kernels as tables of f32, whatever the type of
// the operands: what f32 changes are the tiles.
bool MattersToF32(const LinearAttentionCase& c) {
  return IsHeadSize(c) || IsSmall(c) || c.tokens == 64;
}

// The second pass differs from the first in what it leaves out.
bool MattersToTwoPasses(const LinearAttentionCase& c) {
  return IsSmall(c) || !c.has_final_gradient ||
         (IsHeadSize(c) && c.key_dim + c.value_dim < 64);
}

Cases CasesThat(bool (*matter)(const LinearAttentionCase&)) {
  Cases cases;
  for (const LinearAttentionCase& c : LinearAttentionCases()) {
    if (matter(c)) cases.push_back(c);
  }
  return cases;
}

std::string NameOf(const testing::TestParamInfo<LinearAttentionCase>& info) {
  return info.param.name;
}

class CudaLinearAttentionBf16
    : public testing::TestWithParam<LinearAttentionCase> {};
TEST_P(CudaLinearAttentionBf16, AgreesWithReference) {
  ExpectAgrees(GetParam(), DType::kBF16, Passes::kOne);
}
INSTANTIATE_TEST_SUITE_P(Cases, CudaLinearAttentionBf16,
                         testing::ValuesIn(LinearAttentionCases()), NameOf);

class CudaLinearAttentionF32
    : public testing::TestWithParam<LinearAttentionCase> {};
TEST_P(CudaLinearAttentionF32, AgreesWithReference) {
  ExpectAgrees(GetParam(), DType::kF32, Passes::kOne);
}
INSTANTIATE_TEST_SUITE_P(Cases, CudaLinearAttentionF32,
                         testing::ValuesIn(CasesThat(MattersToF32)), NameOf);

class CudaLinearAttentionTwoPasses
    : public testing::TestWithParam<LinearAttentionCase> {};
TEST_P(CudaLinearAttentionTwoPasses, AgreeWithReference) {
  ExpectAgrees(GetParam(), DType::kBF16, Passes::kTwo);
  if (GetParam().tokens == 65) {
    ExpectAgrees(GetParam(), DType::kF32, Passes::kTwo);
  }
}
INSTANTIATE_TEST_SUITE_P(Cases, CudaLinearAttentionTwoPasses,
                         testing::ValuesIn(CasesThat(MattersToTwoPasses)),
                         NameOf);

TEST(CudaLinearAttentionDecode, AdvancesTheSlots) {
  Device device;
  LinearAttentionCase c = CaseNamed("ScalarB1T15H1K16V16");
  c.batch = 2;
  c.tokens = 3;
  c.heads = 2;
  for (const auto& [key_dim, value_dim] :
       {std::pair<int64_t, int64_t>{24, 36}, {130, 150}}) {
    c.key_dim = key_dim;
    c.value_dim = value_dim;
    for (DType dtype : {DType::kBF16, DType::kF32}) {
      const LinearAttentionProblem problem(c, dtype);
      HostTensor slots(DType::kI32, {2});
      slots.view().data_as<int32_t>()[0] = 3;
      slots.view().data_as<int32_t>()[1] = 1;
      const auto decode = [&](LinearAttention& op) {
        HostTensor pool(DType::kF32, {4, 2, key_dim, value_dim});
        FillUniform(9, -1.0, 1.0, pool.view());
        HostTensor o(dtype, {2, 3, 2, value_dim});
        LONGSPAN_CHECK_OK(op.Decode(problem.inputs(), slots.view(), pool.view(),
                                    o.view(), device.stream()));
        return std::pair(pool.ToDoubles(), o.ToDoubles());
      };
      const auto expected = decode(*CreateReferenceLinearAttention());
      const auto actual = decode(*CreateCudaLinearAttention());
      ExpectClose(actual.first, expected.first, 1e-6, "pool");
      ExpectClose(actual.second, expected.second,
                  ToleranceOf(dtype).relative_rms, "o");
      EXPECT_EQ(emulated::TakeLaunchFailures(), "");
    }
  }
}

TEST(CudaLinearAttentionFold, AgreesInBothDirections) {
  Device device;
  HostTensor states(DType::kF32, {11, 2, 3, 5, 6});
  HostTensor decays(DType::kF32, {11, 2, 3});
  FillUniform(1, -1.0, 1.0, states.view());
  FillUniform(2, -2.0, 0.0, decays.view());
  decays.view().data_as<float>()[7] = -INFINITY;  // a document starts here
  for (bool reverse : {false, true}) {
    const auto fold = [&](LinearAttention& op) {
      HostTensor result(DType::kF32, {2, 3, 5, 6});
      LONGSPAN_CHECK_OK(op.FoldSummaries(states.view(), decays.view(), {},
                                         reverse, result.view(),
                                         device.stream()));
      return result.ToDoubles();
    };
    ExpectClose(fold(*CreateCudaLinearAttention()),
                fold(*CreateReferenceLinearAttention()), 1e-6, "state");
  }
}

// Outputs of one token with these head sizes, on a GPU whose blocks have
// `shared_bytes`.
absl::Status OutputsOn(int shared_bytes, int64_t head_dim, DType dtype) {
  emulated::EmulatorOptions options = emulated::CurrentOptions();
  options.shared_bytes = shared_bytes;
  const emulated::ScopedEmulatorOptions scope(options);
  Device device;
  LinearAttentionCase c = CaseNamed("IdentityB1T1H1K16V16");
  c.key_dim = c.value_dim = head_dim;
  const LinearAttentionProblem problem(c, dtype);
  const HostTensor workspace = HostTensor::Workspace(
      LinearAttentionWorkspaceBytes(LinearAttentionStage::kOutputs,
                                    problem.shape(), BackendKind::kCuda, 1));
  HostTensor o(dtype, {1, 1, 1, head_dim});
  return device.op().Outputs(problem.inputs(), {}, ChunkTerms::kAll,
                             {o.view(), {}}, workspace.view(), device.stream());
}

// The most that a block may have on compute capability 8.0, 8.6 and 8.9.
constexpr int kShared80 = 163 * 1024, kShared86 = 99 * 1024;

TEST(CudaLinearAttentionRefusals, BlocksBeyondTheGpu) {
  for (DType dtype : {DType::kBF16, DType::kF32}) {
    EXPECT_EQ(OutputsOn(kShared80, 128, dtype), absl::OkStatus());
    EXPECT_EQ(OutputsOn(kShared86, 64, dtype), absl::OkStatus());
  }
  EXPECT_EQ(OutputsOn(kShared86, 128, DType::kBF16),
            absl::UnimplementedError(
                "head sizes 128 and 128 of bf16: ScanKernel: needs 110080 B of "
                "shared memory a block, more than this GPU gives (compute "
                "capability 9.0: 232448, 8.0: 166912, 8.6 and 8.9: 101376); "
                "use smaller heads or the cpu backend"));
  for (DType dtype : {DType::kBF16, DType::kF32}) {
    const absl::Status status = OutputsOn(kShared80, 256, dtype);
    EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
    EXPECT_NE(status.message().find("head sizes 256 and 256"),
              absl::string_view::npos)
        << status;
  }
}

TEST(CudaLinearAttentionRefusals, NameTheSizes) {
  Device device;
  LinearAttentionCase c = CaseNamed("IdentityB1T1H1K16V16");
  c.key_dim = 300;
  const LinearAttentionProblem problem(c, DType::kBF16);
  HostTensor o(DType::kBF16, {1, 1, 1, c.value_dim});
  const absl::Status status = CreateCudaLinearAttention()->Outputs(
      problem.inputs(), {}, ChunkTerms::kAll, {o.view(), {}}, {},
      device.stream());
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_NE(status.message().find("300"), absl::string_view::npos) << status;
}

}  // namespace
}  // namespace longspan::kernels::cuda
