// The one list of softmax-attention cases, and a case's operands filled in.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/api/softmax_attention.h"
#include "kernels/cost/backend_kind.h"
#include "kernels/cost/workspace.h"
#include "tests/support/attention/host_tensor.h"

namespace longspan::kernels {

struct SoftmaxAttentionCase {
  std::string name;
  int64_t batch = 1;
  int64_t query_tokens = 1;
  int64_t key_tokens = 1;
  int64_t heads = 1;
  int64_t key_heads = 1;
  int64_t head_dim = 16;
  AttentionMask mask = AttentionMask::kCausal;
  int64_t window = 0;
  int64_t query_offset = 0;
  std::vector<int64_t> document_starts;
};

const std::vector<SoftmaxAttentionCase>& SoftmaxAttentionCases();
const std::vector<SoftmaxAttentionCase>& SoftmaxAttentionGradientCases();
// What bench/run attention times.
const std::vector<SoftmaxAttentionCase>& SoftmaxAttentionBenchCases();

struct SoftmaxAttentionResults {
  std::vector<double> o, lse, d_q, d_k, d_v;
};

class SoftmaxAttentionProblem {
 public:
  SoftmaxAttentionProblem(const SoftmaxAttentionCase& c, DType dtype,
                          uint64_t seed = 0);

  const SoftmaxAttentionCase& case_of() const { return case_; }
  const SoftmaxAttentionInputs& inputs() const { return inputs_; }
  SoftmaxAttentionShape shape() const;
  DType dtype() const { return dtype_; }
  const TensorView& q() const { return q_; }
  const TensorView& k() const { return k_; }
  const TensorView& v() const { return v_; }
  const TensorView& d_o() const { return d_o_.view(); }

  // Forward and backward; outputs and workspaces are poisoned beforehand.
  SoftmaxAttentionResults Run(SoftmaxAttention& op, Stream& stream,
                              BackendKind backend, int threads) const;

 private:
  const SoftmaxAttentionCase case_;
  const DType dtype_;
  HostTensor q_buffer_, kv_buffer_, d_o_;
  TensorView q_, k_, v_;  // k and v are slices of one buffer
  SoftmaxAttentionInputs inputs_;
};

}  // namespace longspan::kernels
