// A linear-attention case with its operands filled in, and the calls on it.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "kernels/api/linear_attention.h"
#include "kernels/cost/backend_kind.h"
#include "kernels/cost/workspace.h"
#include "tests/support/attention/host_tensor.h"
#include "tests/support/attention/linear_attention_cases.h"

namespace longspan::kernels {

// How outputs and gradients are computed: in one call, or kIntraChunk and then
// kInterChunk.
enum class Passes { kOne, kTwo };

// Results as doubles, row-major. Empty where the case has none.
struct LinearAttentionResults {
  std::vector<double> summary_state, summary_log_decay, summary_transition;
  std::vector<double> o, final_state, prefix_states;
  std::vector<double> d_summary_state;
  std::vector<double> d_q, d_k, d_v, d_log_gate, d_beta, d_initial_state;
};

class LinearAttentionProblem {
 public:
  LinearAttentionProblem(const LinearAttentionCase& c, DType dtype,
                         uint64_t seed = 1);

  // Inputs and upstream gradients restricted to tokens [begin, end), with the
  // documents that start there.
  struct Range {
    LinearAttentionInputs inputs;
    ConstTensorView d_o;
    std::vector<int64_t> starts;
  };
  Range Tokens(int64_t begin, int64_t end) const;

  const LinearAttentionCase& case_of() const { return case_; }
  const LinearAttentionInputs& inputs() const { return inputs_; }
  ConstTensorView initial_state() const { return initial_state_.view(); }
  LinearAttentionOutputGradients output_gradients() const;
  LinearAttentionShape shape() const;
  // For the gradients of the gates; null if there are none.
  HostTensor LikeGates() const;
  // For the gradient of beta; null if there is none.
  HostTensor LikeBeta() const;
  // [B, P, H, Dk, Dv]; null if there are none.
  HostTensor LikeSnapshots() const;
  // [ranges, B, H], [ranges, B, H, Dk] or, of matrices, [ranges, B, H, Dk, Dk].
  HostTensor SummaryDecays(int64_t ranges) const;

  const TensorView& q() const { return q_; }
  const TensorView& k() const { return k_; }
  const TensorView& v() const { return v_; }
  const TensorView& log_gate() const { return log_gate_.view(); }
  const TensorView& log_decay() const { return log_decay_.view(); }
  const TensorView& mutable_initial_state() const {
    return initial_state_.view();
  }
  const TensorView& d_o() const { return d_o_.view(); }
  const TensorView& d_final_state() const { return d_final_state_.view(); }
  const TensorView& beta() const { return beta_.view(); }
  DType dtype() const { return dtype_; }

  // A summary whose decay is one entry of SummaryDecays.
  LinearAttentionSummary SummaryOf(const TensorView& state,
                                   const TensorView& decay) const;

  // All entry points. Outputs and workspaces are poisoned beforehand.
  LinearAttentionResults Run(LinearAttention& op, Stream& stream,
                             BackendKind backend, int threads,
                             Passes passes) const;

  // The outputs and the final state alone, in one pass.
  LinearAttentionResults RunOutputs(LinearAttention& op, Stream& stream,
                                    BackendKind backend, int threads) const;

 private:
  void AddSummary(LinearAttention& op, Stream& stream, BackendKind backend,
                  int threads, LinearAttentionResults& results) const;
  void AddOutputs(LinearAttention& op, Stream& stream, BackendKind backend,
                  int threads, Passes passes,
                  LinearAttentionResults& results) const;
  void AddBackward(LinearAttention& op, Stream& stream, BackendKind backend,
                   int threads, Passes passes,
                   LinearAttentionResults& results) const;

  const LinearAttentionCase case_;
  const DType dtype_;
  const DType sum_dtype_;  // of states and gates
  HostTensor fused_, q_buffer_, k_buffer_, v_buffer_;
  HostTensor log_gate_, log_decay_, beta_, initial_state_, d_o_, d_final_state_;
  TensorView q_, k_, v_;
  LinearAttentionInputs inputs_;
};

}  // namespace longspan::kernels
