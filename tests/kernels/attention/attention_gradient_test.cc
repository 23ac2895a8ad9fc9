// Gradients against central differences of the outputs, in f64, along random
// directions of each operand. The loss is <o, d_o> + <S_T, dS_T>; both
// backends are checked, so the reference's gradients have a witness that knows
// no formula.
#include <cmath>
#include <functional>
#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/cpu_stream.h"
#include "kernels/reference/reference_ops.h"
#include "tests/support/attention/linear_attention_problem.h"
#include "tests/support/attention/softmax_attention_cases.h"

namespace longspan::kernels {
namespace {

constexpr double kTolerance = 1e-6;
constexpr double kStep = 1e-5;

// d loss / d direction of `operand`, by moving it both ways.
double CentralDifference(const TensorView& operand,
                         const std::vector<double>& direction,
                         const std::function<double()>& loss) {
  const std::vector<double> values = ToDoubles(operand);
  const auto moved = [&](double step) {
    std::vector<double> there = values;
    for (size_t i = 0; i < there.size(); ++i) there[i] += step * direction[i];
    FromDoubles(there, operand);
    return loss();
  };
  const double difference = moved(kStep) - moved(-kStep);
  FromDoubles(values, operand);
  return difference / (2 * kStep);
}

std::vector<double> RandomDirection(const TensorView& like, uint64_t seed) {
  std::vector<double> direction(like.element_count());
  FillUniform(
      seed, -1.0, 1.0,
      TensorView(direction.data(), DType::kF64, {like.element_count()}));
  return direction;
}

// One element at a time for small operands such as gates, where a random
// direction could hide a wrong token; else some random directions.
void ExpectGradient(const TensorView& operand,
                    const std::vector<double>& gradient,
                    const std::function<double()>& loss, const char* name) {
  if (operand.is_null()) return;
  const double size = std::max(1.0, Rms(gradient));
  const int64_t count = operand.element_count();
  if (count <= 80) {
    for (int64_t i = 0; i < count; ++i) {
      std::vector<double> direction(count, 0.0);
      direction[i] = 1.0;
      EXPECT_NEAR(gradient[i], CentralDifference(operand, direction, loss),
                  kTolerance * size)
          << name << " " << i;
    }
    return;
  }
  for (uint64_t seed : {11, 12, 13}) {
    const std::vector<double> direction = RandomDirection(operand, seed);
    const double expected = CentralDifference(operand, direction, loss);
    EXPECT_NEAR(Dot(gradient, direction), expected,
                kTolerance * size * std::sqrt(static_cast<double>(count)))
        << name;
  }
}

class LinearAttentionGradient
    : public testing::TestWithParam<LinearAttentionCase> {
 protected:
  void Check(LinearAttention& op, BackendKind backend) {
    const LinearAttentionProblem problem(GetParam(), DType::kF64);
    CpuStream stream(1);
    const auto loss = [&] {
      const LinearAttentionResults r =
          problem.RunOutputs(op, stream, backend, 1);
      return Dot(r.o, ToDoubles(problem.d_o())) +
             Dot(r.final_state, ToDoubles(problem.d_final_state()));
    };
    const LinearAttentionResults gradients =
        problem.Run(op, stream, backend, 1, Passes::kOne);
    ExpectGradient(problem.q(), gradients.d_q, loss, "d_q");
    ExpectGradient(problem.k(), gradients.d_k, loss, "d_k");
    ExpectGradient(problem.v(), gradients.d_v, loss, "d_v");
    ExpectGradient(problem.log_gate(), gradients.d_log_gate, loss,
                   "d_log_gate");
    ExpectGradient(problem.beta(), gradients.d_beta, loss, "d_beta");
    ExpectGradient(problem.mutable_initial_state(), gradients.d_initial_state,
                   loss, "d_initial_state");
  }
};

TEST_P(LinearAttentionGradient, Reference) {
  Check(*CreateReferenceLinearAttention(), BackendKind::kReference);
}

TEST_P(LinearAttentionGradient, Cpu) {
  Check(*CreateCpuLinearAttention(), BackendKind::kCpu);
}

INSTANTIATE_TEST_SUITE_P(
    Cases, LinearAttentionGradient,
    testing::ValuesIn(LinearAttentionGradientCases()),
    [](const testing::TestParamInfo<LinearAttentionCase>& info) {
      return info.param.name;
    });

INSTANTIATE_TEST_SUITE_P(
    VectorGates, LinearAttentionGradient,
    testing::ValuesIn(VectorGateGradientCases()),
    [](const testing::TestParamInfo<LinearAttentionCase>& info) {
      return info.param.name;
    });

INSTANTIATE_TEST_SUITE_P(
    Dense, LinearAttentionGradient, testing::ValuesIn(DenseGradientCases()),
    [](const testing::TestParamInfo<LinearAttentionCase>& info) {
      return info.param.name;
    });

INSTANTIATE_TEST_SUITE_P(
    SharedKeys, LinearAttentionGradient,
    testing::ValuesIn(SharedKeyGradientCases()),
    [](const testing::TestParamInfo<LinearAttentionCase>& info) {
      return info.param.name;
    });

class SoftmaxAttentionGradient
    : public testing::TestWithParam<SoftmaxAttentionCase> {
 protected:
  void Check(SoftmaxAttention& op, BackendKind backend) {
    const SoftmaxAttentionProblem problem(GetParam(), DType::kF64);
    CpuStream stream(1);
    const auto run = [&] { return problem.Run(op, stream, backend, 1); };
    const auto loss = [&] { return Dot(run().o, ToDoubles(problem.d_o())); };
    const SoftmaxAttentionResults gradients = run();
    ExpectGradient(problem.q(), gradients.d_q, loss, "d_q");
    ExpectGradient(problem.k(), gradients.d_k, loss, "d_k");
    ExpectGradient(problem.v(), gradients.d_v, loss, "d_v");
  }
};

TEST_P(SoftmaxAttentionGradient, Reference) {
  Check(*CreateReferenceSoftmaxAttention(), BackendKind::kReference);
}

TEST_P(SoftmaxAttentionGradient, Cpu) {
  Check(*CreateCpuSoftmaxAttention(), BackendKind::kCpu);
}

INSTANTIATE_TEST_SUITE_P(
    Cases, SoftmaxAttentionGradient,
    testing::ValuesIn(SoftmaxAttentionGradientCases()),
    [](const testing::TestParamInfo<SoftmaxAttentionCase>& info) {
      return info.param.name;
    });

}  // namespace
}  // namespace longspan::kernels
