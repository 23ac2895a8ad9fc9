// The same sequence in 1 and in 4 ranges that exchange summaries, against one
// pass of the reference in double.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/kernels/cuda/linear_attention/cuda_linear_attention.h"
#include "tests/support/attention/linear_attention_cases.h"
#include "tests/support/attention/linear_attention_split.h"
#include "tests/support/cuda_emulator/emulator.h"

namespace longspan::kernels::cuda {
namespace {

using Cuts = std::vector<int64_t>;

struct GateKind {
  std::string name;
  Transition transition = Transition::kIdentity;
  Gates gates = Gates::kMild;
};

class CudaLinearAttentionRanges : public testing::TestWithParam<GateKind> {
 protected:
  // 150 tokens: three chunks, of which no cut keeps one whole.
  static LinearAttentionProblem Problem(std::vector<int64_t> documents,
                                        DType dtype) {
    LinearAttentionCase c;
    c.tokens = 150;
    c.heads = GetParam().gates == Gates::kPerHead ? 2 : 1;
    c.key_dim = 24;
    c.value_dim = 40;
    c.transition = GetParam().transition;
    c.gates = GetParam().gates;
    c.document_starts = std::move(documents);
    return {c, dtype};
  }

  LinearAttentionResults Run(const LinearAttentionProblem& problem,
                             const Cuts& cuts, Passes passes) {
    return RunInRanges(problem, device_.op(), device_.stream(),
                       BackendKind::kCuda, cuts, passes);
  }

  void ExpectOnePass(const LinearAttentionProblem& problem, const Cuts& cuts,
                     Passes passes) {
    SCOPED_TRACE(testing::PrintToString(cuts));
    LinearAttentionResults expected = Reference(problem, device_.stream());
    expected.summary_state = expected.summary_log_decay = {};
    expected.d_summary_state = {};
    const LinearAttentionResults actual = Run(problem, cuts, passes);
    ExpectResults(actual, expected, problem.dtype());
    ExpectBorderGates(actual, expected, problem, cuts);
    EXPECT_EQ(emulated::TakeLaunchFailures(), "");
  }

  // Token by token beside the cuts: an average would hide a border term that
  // is left out or counted twice.
  static void ExpectBorderGates(const LinearAttentionResults& actual,
                                const LinearAttentionResults& expected,
                                const LinearAttentionProblem& problem,
                                const Cuts& cuts) {
    if (expected.d_log_gate.empty()) return;
    const Tolerance tolerance = ToleranceOf(problem.dtype());
    // The largest of some 150 errors, of which the RMS is bounded.
    const double bound =
        4 * std::max(tolerance.gate_rms,
                     tolerance.gate_relative_rms * Rms(expected.d_log_gate));
    const int64_t heads = problem.case_of().heads;
    for (int64_t cut : cuts) {
      for (int64_t token : {cut - 1, cut}) {
        if (token < 0 || token >= problem.case_of().tokens) continue;
        for (int64_t h = 0; h < heads; ++h) {
          const auto at = static_cast<size_t>(token * heads + h);
          EXPECT_NEAR(actual.d_log_gate[at], expected.d_log_gate[at], bound)
              << "token " << token << " head " << h;
        }
      }
    }
  }

  Device device_;
};

TEST_P(CudaLinearAttentionRanges, OneIsThePass) {
  ExpectOnePass(Problem({}, DType::kF32), {0, 150}, Passes::kOne);
}

TEST_P(CudaLinearAttentionRanges, FourEvenOnesEqualOnePass) {
  ExpectOnePass(Problem({}, DType::kF32), {0, 38, 75, 113, 150}, Passes::kOne);
}

// One of a single token; the exchange runs beside the first of two passes.
TEST_P(CudaLinearAttentionRanges, FourUnevenOnesInTwoPassesEqualOnePass) {
  ExpectOnePass(Problem({}, DType::kBF16), {0, 1, 70, 147, 150}, Passes::kTwo);
}

// Documents that start at a cut, beside it, and nowhere near; one range is in
// the middle of a document, another holds two starts.
TEST_P(CudaLinearAttentionRanges, FourOfPackedDocumentsEqualOnePass) {
  const std::vector<int64_t> documents = {0, 5, 49, 50, 100, 149};
  ExpectOnePass(Problem(documents, DType::kBF16), {0, 50, 64, 99, 150},
                Passes::kTwo);
}

INSTANTIATE_TEST_SUITE_P(
    Gates, CudaLinearAttentionRanges,
    testing::Values(
        GateKind{"Identity", Transition::kIdentity, Gates::kMild},
        GateKind{"Constant", Transition::kConstant, Gates::kMild},
        GateKind{"ConstantStrong", Transition::kConstant, Gates::kStrong},
        GateKind{"Scalar", Transition::kScalar, Gates::kMild},
        GateKind{"ScalarStrong", Transition::kScalar, Gates::kStrong},
        GateKind{"ScalarZero", Transition::kScalar, Gates::kZero},
        GateKind{"ScalarPerHead", Transition::kScalar, Gates::kPerHead},
        GateKind{"ScalarClosed", Transition::kScalar, Gates::kClosed}),
    [](const testing::TestParamInfo<GateKind>& info) {
      return info.param.name;
    });

}  // namespace
}  // namespace longspan::kernels::cuda
