// How far two implementations of linear attention may be apart, and how far
// they are: used by the conformance tests and by the printed table.
#pragma once

#include <string>
#include <vector>

#include "tests/support/attention/linear_attention_problem.h"

namespace longspan::kernels {

// Errors and bounds are relative to the RMS of what is expected (absolute
// where that is 0).
struct ComparedTensor {
  std::string name;
  double error = 0.0;
  double bound = 0.0;
};

// RMS errors of f64, f32 and bf16 arithmetic where nothing cancels; of bf16, a
// few roundings of 2^-9 of operands, with sums in f32.
double RelativeRmsBound(DType dtype);

// Every tensor of the results. Bounds that are not RelativeRmsBound follow
// from what cancels: see the functions in the source.
std::vector<ComparedTensor> CompareResults(
    const LinearAttentionProblem& problem, const LinearAttentionResults& actual,
    const LinearAttentionResults& expected);

}  // namespace longspan::kernels
