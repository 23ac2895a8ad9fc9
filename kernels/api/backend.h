// A kernel backend: one implementation of every op family for one device kind.
//
// Ops take views, shapes and a stream, and return a Status. They check their
// operands, allocate nothing, never synchronise and never log. Memory they
// need is a workspace whose size is a pure function in kernels/cost.
// Thread-safe: ops may be called from several threads on different streams.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "kernels/api/dense.h"
#include "kernels/api/device_memory.h"
#include "kernels/api/elementwise.h"
#include "kernels/api/feature_map.h"
#include "kernels/api/linear_attention.h"
#include "kernels/api/optimizer.h"
#include "kernels/api/sampling.h"
#include "kernels/api/softmax_attention.h"
#include "kernels/api/stream.h"
#include "kernels/api/token_gates.h"

namespace longspan::kernels {

class Backend {
 public:
  virtual ~Backend() = default;

  // "reference", "cpu" or "cuda".
  virtual std::string name() const = 0;
  // Instruction set or GPU that decides the bits, such as "avx512".
  virtual std::string instruction_set() const = 0;

  // A stream whose CPU ops use `threads` threads (>= 1).
  virtual absl::StatusOr<std::unique_ptr<Stream>> CreateStream(int threads) = 0;

  // Where operands and workspaces of this backend's ops must lie. Exception:
  // Documents::starts, which the host reads.
  virtual DeviceMemory& memory() = 0;
  // The ordinal of the device; 0 on host backends.
  virtual int device() const { return 0; }

  virtual LinearAttention& linear_attention() = 0;
  virtual SoftmaxAttention& softmax_attention() = 0;
  virtual Dense& dense() = 0;
  virtual CrossEntropy& cross_entropy() = 0;
  virtual Elementwise& elementwise() = 0;
  virtual ShortConvolution& short_convolution() = 0;
  virtual FeatureMaps& feature_maps() = 0;
  virtual TokenGates& token_gates() = 0;
  virtual Optimizer& optimizer() = 0;
  virtual Sampling& sampling() = 0;
};

}  // namespace longspan::kernels
