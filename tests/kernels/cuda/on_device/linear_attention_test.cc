// Linear attention on the device's own memory, against the reference in
// double.
//
// On the emulator a few small cases of the list, which show that no host code
// touches device memory (the whole list runs in the tests of
// ../linear_attention); on a GPU all of them, and long ones with few heads.
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "kernels/reference/reference_ops.h"
#include "tests/kernels/cuda/on_device/device_under_test.h"
#include "tests/support/attention/linear_attention_cases.h"
#include "tests/support/attention/linear_attention_problem.h"

namespace longspan::kernels {
namespace {

// A bf16 gate gradient is a sum of products that cancel.
double GateTolerance(DType dtype) {
  return dtype == DType::kBF16 ? 1e-2 : 1e-3;
}
constexpr double kGateRms = 2e-4;  // where gradients are nothing but rounding

void ExpectResults(const LinearAttentionResults& actual,
                   const LinearAttentionResults& expected, DType dtype) {
  const double rms = RelativeTolerance(dtype);
  ExpectClose(actual.summary_state, expected.summary_state, rms, "summary");
  ExpectLogsClose(actual.summary_log_decay, expected.summary_log_decay, 1e-5,
                  "summary decay");
  ExpectClose(actual.o, expected.o, rms, "o");
  ExpectClose(actual.final_state, expected.final_state, rms, "final_state");
  ExpectClose(actual.d_summary_state, expected.d_summary_state, rms,
              "d_summary");
  ExpectClose(actual.d_q, expected.d_q, rms, "d_q");
  ExpectClose(actual.d_k, expected.d_k, rms, "d_k");
  ExpectClose(actual.d_v, expected.d_v, rms, "d_v");
  ExpectClose(actual.d_initial_state, expected.d_initial_state, rms,
              "d_initial_state");
  ASSERT_EQ(actual.d_log_gate.size(), expected.d_log_gate.size());
  EXPECT_LE(Rms(Difference(actual.d_log_gate, expected.d_log_gate)),
            std::max(kGateRms, GateTolerance(dtype) * Rms(expected.d_log_gate)))
      << "d_log_gate";
}

LinearAttentionResults OnDevice(DeviceUnderTest& device,
                                const LinearAttentionProblem& problem,
                                Passes passes) {
  return problem.Run(*MirrorLinearAttention(device.backend()), device.stream(),
                     BackendKind::kCuda, 1, passes);
}

LinearAttentionResults Expected(const LinearAttentionProblem& problem) {
  HostStream host;
  return problem.Run(*CreateReferenceLinearAttention(), host,
                     BackendKind::kReference, 1, Passes::kOne);
}

void ExpectAgrees(const LinearAttentionCase& c, DType dtype) {
  SCOPED_TRACE(c.name + " " + DTypeName(dtype) +
               " LONGSPAN_TEST_SEED=" + std::to_string(TestSeed()));
  DeviceUnderTest device;
  const LinearAttentionProblem problem(c, dtype, TestSeed());
  const LinearAttentionResults expected = Expected(problem);
  for (Passes passes : {Passes::kOne, Passes::kTwo}) {
    SCOPED_TRACE(passes == Passes::kOne ? "one pass" : "two passes");
    ExpectResults(OnDevice(device, problem, passes), expected, dtype);
  }
}

LinearAttentionCase Make(std::string name, Transition transition,
                         int64_t tokens, int64_t heads, int64_t key_dim,
                         int64_t value_dim) {
  LinearAttentionCase c;
  c.name = std::move(name);
  c.transition = transition;
  c.tokens = tokens;
  c.heads = heads;
  c.key_dim = key_dim;
  c.value_dim = value_dim;
  return c;
}

bool FitsTheEmulator(const LinearAttentionCase& c) {
  return c.tokens <= 70 && c.key_dim <= 32 && c.value_dim <= 32 &&
         c.batch * c.heads <= 2;
}

// Few heads and very long, which is what this backend is for.
std::vector<LinearAttentionCase> LongCases() {
  constexpr Transition kIdentity = Transition::kIdentity;
  constexpr Transition kConstant = Transition::kConstant;
  constexpr Transition kScalar = Transition::kScalar;
  if (!LargeShapes()) {
    return {Make("LongIdentity", kIdentity, 260, 1, 16, 24),
            Make("LongConstant", kConstant, 260, 1, 16, 16),
            Make("LongScalar", kScalar, 260, 1, 24, 16)};
  }
  std::vector<LinearAttentionCase> cases = {
      Make("LongIdentity", kIdentity, 40003, 1, 128, 128),
      Make("LongConstant", kConstant, 40003, 1, 128, 128),
      Make("LongScalar", kScalar, 40003, 1, 128, 128),
      Make("LongerScalar", kScalar, 131073, 1, 64, 64),
      Make("WideScalar", kScalar, 4099, 3, 256, 256),
      Make("UnequalIdentity", kIdentity, 4099, 5, 192, 64),
      Make("UnequalScalar", kScalar, 4099, 5, 48, 256),
      Make("BatchConstant", kConstant, 2050, 4, 128, 128),
      Make("PackedScalar", kScalar, 9001, 2, 128, 128),
      Make("PackedIdentity", kIdentity, 9001, 2, 64, 128)};
  for (LinearAttentionCase& c : cases) {
    if (c.name.find("Batch") == 0) c.batch = 3;
    if (c.name.find("Packed") == 0) {
      c.document_starts = {0, 1, 700, 4096, 4099, 8999};
    }
    c.fused_projection = c.heads == 5;
  }
  return cases;
}

std::vector<LinearAttentionCase> Cases() {
  std::vector<LinearAttentionCase> cases;
  for (const LinearAttentionCase& c : LinearAttentionCases()) {
    if (OnGpu() || FitsTheEmulator(c)) cases.push_back(c);
  }
  for (const LinearAttentionCase& c : LongCases()) cases.push_back(c);
  return cases;
}

class LinearAttentionOnDevice
    : public testing::TestWithParam<LinearAttentionCase> {};

TEST_P(LinearAttentionOnDevice, Bf16AgreesWithReference) {
  ExpectAgrees(GetParam(), DType::kBF16);
}

TEST_P(LinearAttentionOnDevice, F32AgreesWithReference) {
  ExpectAgrees(GetParam(), DType::kF32);
}

INSTANTIATE_TEST_SUITE_P(Cases, LinearAttentionOnDevice,
                         testing::ValuesIn(Cases()),
                         [](const auto& info) { return info.param.name; });

// What compute-sanitizer looks at.
class LinearAttentionOnDeviceSmall : public testing::TestWithParam<Transition> {
};

TEST_P(LinearAttentionOnDeviceSmall, SmallAgreesWithReference) {
  LinearAttentionCase c = Make("Small", GetParam(), 131, 2, 32, 16);
  c.document_starts = {5, 64};
  ExpectAgrees(c, DType::kBF16);
}

class LinearAttentionOnDeviceTwice : public testing::TestWithParam<Transition> {
};

TEST_P(LinearAttentionOnDeviceTwice, BitIdentical) {
  DeviceUnderTest device;
  const LinearAttentionCase c =
      LargeShapes() ? Make("Twice", GetParam(), 20001, 2, 128, 128)
                    : Make("Twice", GetParam(), 67, 2, 16, 16);
  const LinearAttentionProblem problem(c, DType::kBF16, TestSeed());
  const LinearAttentionResults first = OnDevice(device, problem, Passes::kOne);
  const LinearAttentionResults second = OnDevice(device, problem, Passes::kOne);
  EXPECT_EQ(first.summary_state, second.summary_state);
  EXPECT_EQ(first.o, second.o);
  EXPECT_EQ(first.final_state, second.final_state);
  EXPECT_EQ(first.d_summary_state, second.d_summary_state);
  EXPECT_EQ(first.d_q, second.d_q);
  EXPECT_EQ(first.d_k, second.d_k);
  EXPECT_EQ(first.d_v, second.d_v);
  EXPECT_EQ(first.d_log_gate, second.d_log_gate);
  EXPECT_EQ(first.d_initial_state, second.d_initial_state);
}

constexpr Transition kAllTransitions[] = {
    Transition::kIdentity, Transition::kConstant, Transition::kScalar};
INSTANTIATE_TEST_SUITE_P(Transitions, LinearAttentionOnDeviceSmall,
                         testing::ValuesIn(kAllTransitions));
INSTANTIATE_TEST_SUITE_P(Transitions, LinearAttentionOnDeviceTwice,
                         testing::ValuesIn(kAllTransitions));

struct Decoded {
  std::vector<double> pool;
  std::vector<double> o;
};

// Three new tokens of every second slot of a pool.
Decoded Decode(LinearAttention& op, const LinearAttentionProblem& problem,
               Stream& stream) {
  const LinearAttentionCase& c = problem.case_of();
  HostTensor slots(DType::kI32, {c.batch});
  for (int64_t i = 0; i < c.batch; ++i) {
    slots.view().data_as<int32_t>()[i] = static_cast<int32_t>(2 * i + 1);
  }
  HostTensor pool(DType::kF32, {2 * c.batch, c.heads, c.key_dim, c.value_dim});
  FillUniform(TestSeed() + 9, -1.0, 1.0, pool.view());
  HostTensor o(problem.dtype(), {c.batch, c.tokens, c.heads, c.value_dim});
  LONGSPAN_CHECK_OK(
      op.Decode(problem.inputs(), slots.view(), pool.view(), o.view(), stream));
  return {pool.ToDoubles(), o.ToDoubles()};
}

std::vector<LinearAttentionCase> DecodeCases() {
  std::vector<LinearAttentionCase> cases;
  for (Transition transition : kAllTransitions) {
    cases.push_back(Make("Small", transition, 3, 2, 24, 36));
    cases.push_back(Make("Unequal", transition, 2, 1, 130, 150));
    if (LargeShapes()) {
      cases.push_back(Make("Large", transition, 1, 16, 128, 128));
    }
    for (LinearAttentionCase& c : cases) c.batch = LargeShapes() ? 64 : 2;
  }
  return cases;
}

TEST(LinearAttentionDecodeOnDevice, SmallAndLargeAdvanceTheSlots) {
  DeviceUnderTest device;
  HostStream host;
  const auto op = MirrorLinearAttention(device.backend());
  for (const LinearAttentionCase& c : DecodeCases()) {
    for (DType dtype : {DType::kBF16, DType::kF32}) {
      SCOPED_TRACE(c.name + " " + DTypeName(dtype));
      const LinearAttentionProblem problem(c, dtype, TestSeed());
      const Decoded expected =
          Decode(*CreateReferenceLinearAttention(), problem, host);
      const Decoded actual = Decode(*op, problem, device.stream());
      ExpectClose(actual.pool, expected.pool, 1e-6, "pool");
      ExpectClose(actual.o, expected.o, RelativeTolerance(dtype), "o");
    }
  }
}

std::vector<double> Fold(LinearAttention& op, int64_t ranks, int64_t dim,
                         bool reverse, bool has_initial, Stream& stream) {
  HostTensor states(DType::kF32, {ranks, 2, 3, dim, dim + 1});
  HostTensor decays(DType::kF32, {ranks, 2, 3});
  HostTensor initial(DType::kF32, {2, 3, dim, dim + 1});
  FillUniform(TestSeed() + 1, -1.0, 1.0, states.view());
  FillUniform(TestSeed() + 2, -2.0, 0.0, decays.view());
  FillUniform(TestSeed() + 3, -1.0, 1.0, initial.view());
  decays.view().data_as<float>()[7] = -INFINITY;  // a document starts here
  HostTensor result(DType::kF32, {2, 3, dim, dim + 1});
  LONGSPAN_CHECK_OK(op.FoldSummaries(
      states.view(), decays.view(),
      has_initial ? ConstTensorView(initial.view()) : ConstTensorView(),
      reverse, result.view(), stream));
  return result.ToDoubles();
}

TEST(LinearAttentionFoldOnDevice, SmallAndLargeAgreeInBothDirections) {
  DeviceUnderTest device;
  HostStream host;
  const auto op = MirrorLinearAttention(device.backend());
  const int64_t dim = LargeShapes() ? 128 : 6;
  for (int64_t ranks : {2, 11, 64}) {
    for (bool reverse : {false, true}) {
      for (bool has_initial : {false, true}) {
        ExpectClose(
            Fold(*op, ranks, dim, reverse, has_initial, device.stream()),
            Fold(*CreateReferenceLinearAttention(), ranks, dim, reverse,
                 has_initial, host),
            1e-6, "state");
      }
    }
  }
}

}  // namespace
}  // namespace longspan::kernels
