#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "tests/kernels/ops/op_case.h"

namespace longspan::kernels {
namespace {

// Rows that together have every kind of choice, in an order that no two of
// them share.
constexpr int64_t kRows = 12;

Operand Choice(const char* name, std::vector<double> values,
               DType type = DType::kF64) {
  return {name, Role::kInput, {kRows}, false, std::move(values), type, true};
}

absl::Status Sample(OpSet& ops, Operands& t, TensorView log_probabilities) {
  return ops.sampling->Sample(
      {.logits = t["logits"],
       .temperature = t["temperature"],
       .top_k = t["top_k"],
       .top_p = t["top_p"],
       .uniform = t["uniform"]},
      {.ids = t["ids"], .log_probabilities = log_probabilities}, *ops.stream);
}

OpCase SamplingCase(const std::string& name, int64_t vocabulary,
                    std::vector<double> logits, bool strided) {
  OpCase result;
  result.name = absl::StrCat("Sample_", name, "_", vocabulary);
  result.operands = {
      {"logits", Role::kInput, {kRows, vocabulary}, strided, std::move(logits)},
      Choice("temperature", {1.0, 0.0, 0.5, 5.0, 1.0}),
      Choice("top_k", {0, 0, 3, 1, 40, 0, 7}, DType::kI32),
      Choice("top_p", {1.0, 1.0, 0.6, 0.95}),
      Choice("uniform", {0.13, 0.5, 0.0, 0.999, 0.71, 0.31, 0.88}),
      {"ids", Role::kOutput, {kRows}, false, {}, DType::kI32, true},
      {"log_probabilities",
       Role::kOutput,
       {kRows},
       false,
       {},
       DType::kF64,
       true}};
  result.forward = [](OpSet& ops, Operands& t) {
    return Sample(ops, t, t["log_probabilities"]);
  };
  return result;
}

// What is not finite compares with nothing: such logits are there during the
// op only, and the log-probabilities of their rows are left alone.
OpCase NotFiniteCase() {
  constexpr int64_t kVocabulary = 40;
  OpCase result = SamplingCase("not_finite", kVocabulary, {}, false);
  result.operands.pop_back();
  result.forward = [](OpSet& ops, Operands& t) -> absl::Status {
    const double infinity = std::numeric_limits<double>::infinity();
    t.Set("logits", 7, std::numeric_limits<double>::quiet_NaN());
    t.Set("logits", 31, infinity);
    t.Set("logits", 3 * kVocabulary, -infinity);
    t.Set("logits", 5 * kVocabulary - 1, infinity);
    const TensorView memory = t.Workspace(kRows * 8);
    RETURN_IF_ERROR(
        Sample(ops, t, TensorView(memory.data(), DType::kF64, {kRows})));
    RETURN_IF_ERROR(ops.stream->Synchronize());
    for (int64_t row : {0, 3, 4}) {
      EXPECT_TRUE(std::isnan(static_cast<double*>(memory.data())[row]));
      EXPECT_LT(t["ids"].data_as<int32_t>()[row], 0);
    }
    t.Set("logits", 7, 0.0);
    t.Set("logits", 31, 0.0);
    t.Set("logits", 3 * kVocabulary, 0.0);
    t.Set("logits", 5 * kVocabulary - 1, 0.0);
    return absl::OkStatus();
  };
  return result;
}

}  // namespace

std::vector<OpCase> SamplingCases() {
  return {SamplingCase("one", 1, {}, false),
          SamplingCase("random", 37, {}, true),
          SamplingCase("random", 700, {}, false),
          SamplingCase("ties", 50, {1, 2, 2, 0, 2, 1, 1}, false),
          // Weights that vanish, and distances that are cut.
          SamplingCase("far", 60, {0, -20, 3, -300, -1e6, 2.5, -29}, true),
          NotFiniteCase()};
}

std::vector<OpCase> LargeSamplingCases() {
  return {SamplingCase("large", 32000, {}, false),
          SamplingCase("large", 151936, {}, true)};
}

}  // namespace longspan::kernels
