// Every op but attention on the device's own memory, against the reference in
// double: the cases of tests/kernels/ops, with strides and gaps. On the
// emulator the small ones of one kind each (all of them run in the tests of
// ../ops), on a GPU all, and those of a real model's size.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "kernels/reference/reference_ops.h"
#include "tests/kernels/cuda/on_device/device_under_test.h"
#include "tests/kernels/cuda/ops/cuda_op_set.h"
#include "tests/kernels/ops/op_case.h"

namespace longspan::kernels {
namespace {

constexpr int64_t kEmulatedElements = 3000;  // of all operands of a case

OpSet DeviceOps(DeviceUnderTest& device) {
  auto stream = device.backend().CreateStream(1);
  LONGSPAN_CHECK_OK(stream.status());
  return {BackendKind::kCuda,
          MirrorDense(device.backend()),
          MirrorCrossEntropy(device.backend()),
          MirrorElementwise(device.backend()),
          MirrorShortConvolution(device.backend()),
          MirrorOptimizer(device.backend()),
          *std::move(stream),
          MirrorSampling(device.backend())};
}

int64_t Elements(const OpCase& op) {
  int64_t elements = 0;
  for (const Operand& operand : op.operands) {
    int64_t count = 1;
    for (int64_t size : operand.shape) count *= size;
    elements += count;
  }
  return elements;
}

std::vector<OpCase> Cases() {
  std::vector<OpCase> cases;
  for (const OpCase& op : OpCases()) {
    if (OnGpu() || Elements(op) <= kEmulatedElements) cases.push_back(op);
  }
  if (!LargeShapes()) return cases;
  for (OpCase op : LargeOpCases()) {
    op.name = "Large" + op.name;
    cases.push_back(op);
  }
  return cases;
}

// The operand types of bf16 activations go by the case's plain name.
std::vector<Operand> OperandsOf(OpCase op, DType dtype) {
  if (dtype == DType::kF32) return op.operands;
  if (absl::StartsWith(op.name, "Large")) op.name = op.name.substr(5);
  return Bf16Operands(op);
}

// The operands in double, as the device sees them.
Operands Exact(const OpCase& op, const Operands& rounded) {
  Operands exact(op.operands, DType::kF64, TestSeed());
  for (const Operand& operand : op.operands) {
    if (operand.role == Role::kOutput) continue;
    const std::vector<double> values = rounded.Values(operand.name);
    for (size_t i = 0; i < values.size(); ++i) {
      exact.Set(operand.name, static_cast<int64_t>(i), values[i]);
    }
  }
  return exact;
}

void ExpectAgrees(const OpCase& op, DType dtype) {
  SCOPED_TRACE("LONGSPAN_TEST_SEED=" + std::to_string(TestSeed()));
  DeviceUnderTest device;
  OpSet cuda = DeviceOps(device);
  OpSet reference = ReferenceOps();
  Operands actual(OperandsOf(op, dtype), DType::kF32, TestSeed());
  Operands expected = Exact(op, actual);
  ASSERT_EQ(RunCase(op, reference, expected), absl::OkStatus());
  ASSERT_EQ(RunCase(op, cuda, actual), absl::OkStatus());
  for (const Operand& operand : op.operands) {
    EXPECT_LE(
        RelativeRms(actual.Values(operand.name), expected.Values(operand.name)),
        RelativeTolerance(dtype))
        << operand.name;
  }
  EXPECT_TRUE(actual.GapsUntouched());
}

class OpsOnDevice : public testing::TestWithParam<OpCase> {};

TEST_P(OpsOnDevice, F32AgreesWithReference) {
  ExpectAgrees(GetParam(), DType::kF32);
}

TEST_P(OpsOnDevice, Bf16AgreesWithReference) {
  ExpectAgrees(GetParam(), DType::kBF16);
}

std::string NameOf(const testing::TestParamInfo<OpCase>& info) {
  return info.param.name + "_" + std::to_string(info.index);
}

INSTANTIATE_TEST_SUITE_P(Cases, OpsOnDevice, testing::ValuesIn(Cases()),
                         NameOf);

// The first case of each op within a size.
std::vector<OpCase> OneOfEach(const std::vector<OpCase>& cases, int64_t least) {
  std::vector<OpCase> chosen;
  for (const char* kind :
       {"MatMul", "Embed", "CrossEntropy", "RmsNorm", "Silu", "SwiGlu",
        "LogSigmoidGate", "Add", "ZeroAndCopy", "Rotary", "ShortConvolution",
        "AdamW", "SumOfSquares"}) {
    const auto found =
        std::find_if(cases.begin(), cases.end(), [&](const OpCase& op) {
          return absl::StartsWith(op.name, kind) && Elements(op) >= least;
        });
    LONGSPAN_CHECK(found != cases.end()) << kind;
    chosen.push_back(*found);
  }
  return chosen;
}

class OpsOnDeviceSmall : public testing::TestWithParam<OpCase> {};

// What compute-sanitizer looks at.
TEST_P(OpsOnDeviceSmall, SmallAgreesWithReference) {
  ExpectAgrees(GetParam(), DType::kBF16);
}

INSTANTIATE_TEST_SUITE_P(Cases, OpsOnDeviceSmall,
                         testing::ValuesIn(OneOfEach(OpCases(), 100)), NameOf);

class OpsOnDeviceTwice : public testing::TestWithParam<OpCase> {};

TEST_P(OpsOnDeviceTwice, BitIdentical) {
  const OpCase& op = GetParam();
  DeviceUnderTest device;
  OpSet cuda = DeviceOps(device);
  const std::vector<Operand> operands = OperandsOf(op, DType::kBF16);
  Operands first(operands, DType::kF32, TestSeed());
  Operands second(operands, DType::kF32, TestSeed());
  ASSERT_EQ(RunCase(op, cuda, first), absl::OkStatus());
  ASSERT_EQ(RunCase(op, cuda, second), absl::OkStatus());
  for (const Operand& operand : operands) {
    EXPECT_EQ(first.Values(operand.name), second.Values(operand.name))
        << operand.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, OpsOnDeviceTwice,
                         testing::ValuesIn(LargeShapes()
                                               ? OneOfEach(LargeOpCases(), 0)
                                               : OneOfEach(OpCases(), 100)),
                         NameOf);

struct Product {
  int64_t m, n, k;
  MatMulOptions options;
  DType operand, result;
};

std::vector<Product> Products() {
  constexpr DType kF32 = DType::kF32, kBF16 = DType::kBF16;
  const int64_t large = LargeShapes() ? 64 : 1;
  std::vector<Product> products;
  for (bool ta : {false, true}) {
    for (bool tb : {false, true}) {
      const int64_t m = 33 * large, n = 24 * large, k = 40 * large;
      products.push_back({m, n, k, {ta, tb, false}, kBF16, kBF16});
      products.push_back({m, n, k, {ta, tb, true}, kBF16, kF32});
      products.push_back({m, n, k, {ta, tb, false}, kF32, kF32});
    }
  }
  return products;
}

double At(const std::vector<double>& values, int64_t rows, int64_t columns,
          bool transposed, int64_t row, int64_t column) {
  return transposed ? values[column * rows + row]
                    : values[row * columns + column];
}

// Elements of a product that is too large for plain loops, picked from all of
// its tiles.
TEST(MatMulOnDevice, SmallAndLargeAgreeInSampledElements) {
  DeviceUnderTest device;
  const auto dense = MirrorDense(device.backend());
  for (const Product& p : Products()) {
    SCOPED_TRACE(std::to_string(p.m) + (p.options.transpose_a ? " T" : " N") +
                 (p.options.transpose_b ? "T " : "N ") + DTypeName(p.operand) +
                 " to " + DTypeName(p.result));
    const bool ta = p.options.transpose_a, tb = p.options.transpose_b;
    HostTensor a(p.operand, {ta ? p.k : p.m, ta ? p.m : p.k});
    HostTensor b(p.operand, {tb ? p.n : p.k, tb ? p.k : p.n});
    HostTensor c(p.result, {p.m, p.n});
    FillUniform(TestSeed() + 1, -1.0, 1.0, a.view());
    FillUniform(TestSeed() + 2, -1.0, 1.0, b.view());
    if (p.options.accumulate) FillUniform(TestSeed() + 3, -1, 1, c.view());
    const std::vector<double> x = a.ToDoubles(), y = b.ToDoubles(),
                              before = c.ToDoubles();
    ASSERT_EQ(
        dense->MatMul(a.view(), b.view(), c.view(), p.options, device.stream()),
        absl::OkStatus());
    const std::vector<double> z = c.ToDoubles();
    std::vector<double> actual, expected;
    for (int64_t i = 0; i < p.m * p.n; i += 787) {
      double sum = p.options.accumulate ? before[i] : 0.0;
      for (int64_t l = 0; l < p.k; ++l) {
        sum +=
            At(x, p.m, p.k, ta, i / p.n, l) * At(y, p.k, p.n, tb, l, i % p.n);
      }
      actual.push_back(z[i]);
      expected.push_back(sum);
    }
    ExpectClose(actual, expected, RelativeTolerance(p.operand), "c");
  }
}

}  // namespace
}  // namespace longspan::kernels
