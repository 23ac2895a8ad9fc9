// One case list drives conformance, gradient checks, determinism and poison
// tests of the dense, element-wise, convolution and optimiser ops.
//
// A case names its operands and how to run the op and, where there is one, its
// backward op. Names carry meaning: the gradient of operand `x` is `d_x`; an
// output without a `d_` input does not enter the gradient check.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "kernels/api/dense.h"
#include "kernels/api/elementwise.h"
#include "kernels/api/feature_map.h"
#include "kernels/api/optimizer.h"
#include "kernels/api/sampling.h"
#include "kernels/api/stream.h"
#include "kernels/api/tensor_view.h"
#include "kernels/api/token_gates.h"
#include "kernels/cost/backend_kind.h"
#include "tests/support/attention/host_tensor.h"

namespace longspan::kernels {

// The op families of one backend, with a stream.
struct OpSet {
  BackendKind kind = BackendKind::kReference;
  std::unique_ptr<Dense> dense;
  std::unique_ptr<CrossEntropy> cross_entropy;
  std::unique_ptr<Elementwise> elementwise;
  std::unique_ptr<ShortConvolution> short_convolution;
  std::unique_ptr<Optimizer> optimizer;
  std::unique_ptr<Stream> stream;
  std::unique_ptr<Sampling> sampling = nullptr;
  std::unique_ptr<FeatureMaps> feature_maps = nullptr;
  std::unique_ptr<TokenGates> token_gates = nullptr;
};
OpSet ReferenceOps();
OpSet CpuOps(int threads);

enum class Role {
  kInput,
  kOutput,       // overwritten: holds NaN before the op
  kAccumulated,  // read and written
};

struct Operand {
  std::string name;
  Role role = Role::kInput;
  std::vector<int64_t> shape;
  bool strided = false;             // rows with a gap behind them
  std::vector<double> values = {};  // empty: normal numbers by name
  // kF32, kF64: the case's own real type. Others as they are.
  DType type = DType::kF32;
  bool fixed_type = false;  // keep `type` even if it is real
};

// Storage and views of a case's operands in one real type.
class Operands {
 public:
  // `seed` draws the normal numbers.
  Operands(const std::vector<Operand>& operands, DType real_type,
           uint64_t seed = 7);

  // Null for a name the case does not have, so that optional operands can be
  // passed on without a question.
  TensorView operator[](const std::string& name) const;
  bool has(const std::string& name) const { return buffers_.count(name) > 0; }
  DType real_type() const { return real_type_; }

  std::vector<double> Values(const std::string& name) const;
  void Set(const std::string& name, int64_t index, double value);
  // Whether the bytes around and between rows are as they were.
  bool GapsUntouched() const;
  // Poisoned memory of exactly `bytes`, 64-byte aligned; null for 0.
  TensorView Workspace(int64_t bytes);

 private:
  struct Buffer {
    std::shared_ptr<std::vector<double>> memory;  // for alignment and size
    TensorView view;
  };
  int64_t OffsetOf(const TensorView& view, int64_t flat) const;

  DType real_type_;
  std::map<std::string, Buffer> buffers_;
  std::vector<Buffer> workspaces_;
};

struct OpCase {
  std::string name;
  std::vector<Operand> operands;
  std::function<absl::Status(OpSet&, Operands&)> forward;
  std::function<absl::Status(OpSet&, Operands&)> backward = nullptr;
  // Output -> operand with its seed gradient, where it is not `d_` + output.
  std::map<std::string, std::string> seeds = {};
};

// Names the case in test reports.
void PrintTo(const OpCase& op, std::ostream* out);

const std::vector<OpCase>& OpCases();

// Sizes of a real model, for backends that are fast enough.
const std::vector<OpCase>& LargeOpCases();

// `op` with the sizes: "Silu_3_16", "Silu_3_16_strided".
std::string OpCaseName(const std::string& op, const std::vector<int64_t>& shape,
                       bool strided);

// Parts of the lists, one file each.
std::vector<OpCase> DenseOpCases();
std::vector<OpCase> ElementwiseCases();
std::vector<OpCase> ConvolutionCases();
std::vector<OpCase> OptimizerCases();
std::vector<OpCase> SamplingCases();
std::vector<OpCase> LargeDenseCases();
std::vector<OpCase> LargeElementwiseCases();
std::vector<OpCase> LargeConvolutionCases();
std::vector<OpCase> LargeOptimizerCases();
std::vector<OpCase> LargeSamplingCases();

// Not in OpCases(): what the CUDA backend refuses.
std::vector<OpCase> BiasedConvolutionCases();
std::vector<OpCase> FeatureMapCases();
std::vector<OpCase> TokenGateCases();

}  // namespace longspan::kernels
