// Linear attention of the CUDA backend on the emulator, for the tests of this
// folder: how a problem is run, and what its results are held against.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernels/api/backend.h"
#include "kernels/api/linear_attention.h"
#include "tests/support/attention/linear_attention_problem.h"

namespace longspan::kernels::cuda {

// An emulated device with a stream.
class Device {
 public:
  Device();

  Stream& stream() { return *stream_; }
  LinearAttention& op() { return *op_; }

  LinearAttentionResults Run(const LinearAttentionProblem& problem,
                             Passes passes);

 private:
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Stream> stream_;
  std::unique_ptr<LinearAttention> op_;
};

// In double, on operands as `problem` holds them.
LinearAttentionResults Reference(const LinearAttentionProblem& problem,
                                 Stream& stream);

struct Tolerance {
  double relative_rms;
  double gate_relative_rms;
  double gate_rms;  // gates whose gradients are nothing but rounding
};
// bf16: a few roundings of 2^-9. f32 operands are two bf16 planes, 2^-16.
Tolerance ToleranceOf(DType dtype);

void ExpectClose(const std::vector<double>& actual,
                 const std::vector<double>& expected, double tolerance,
                 const char* what);
// Everything that a run of `dtype` operands gives.
void ExpectResults(const LinearAttentionResults& actual,
                   const LinearAttentionResults& expected, DType dtype);

// Of the conformance list.
const LinearAttentionCase& CaseNamed(const std::string& name);

}  // namespace longspan::kernels::cuda
