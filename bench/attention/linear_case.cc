#include "bench/attention/timed_case.h"
#include "common/base/check.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/cpu_stream.h"
#include "tests/support/attention/linear_attention_problem.h"

namespace longspan::bench {
namespace {

using kernels::ChunkTerms;
using kernels::DType;
using kernels::HostTensor;
using kernels::LinearAttentionCase;
using kernels::LinearAttentionStage;

class LinearCase : public TimedCase {
 public:
  LinearCase(const LinearAttentionCase& c, DType dtype)
      : problem_(c, dtype),
        op_(kernels::CreateCpuLinearAttention()),
        stream_(1),
        o_(Like(c.value_dim)),
        forward_workspace_(Workspace(LinearAttentionStage::kOutputs)) {}

  void Forward() override {
    LONGSPAN_CHECK_OK(op_->Outputs(problem_.inputs(), {}, ChunkTerms::kAll,
                                   {o_.view(), {}}, forward_workspace_.view(),
                                   stream_));
  }

  void Backward() override {
    if (d_q_.view().is_null()) AllocateGradients();
    LONGSPAN_CHECK_OK(op_->Gradients(
        problem_.inputs(), {}, problem_.output_gradients(), ChunkTerms::kAll,
        {d_q_.view(),
         d_k_.view(),
         d_v_.view(),
         d_log_gate_.view(),
         {},
         d_beta_.view()},
        backward_workspace_.view(), stream_));
  }

 private:
  HostTensor Like(int64_t dim) const {
    const LinearAttentionCase& c = problem_.case_of();
    return HostTensor(problem_.dtype(), {c.batch, c.tokens, c.heads, dim});
  }

  HostTensor Workspace(LinearAttentionStage stage) const {
    return HostTensor::Workspace(kernels::LinearAttentionWorkspaceBytes(
        stage, problem_.shape(), kernels::BackendKind::kCpu, 1));
  }

  void AllocateGradients() {
    d_q_ = Like(problem_.case_of().key_dim);
    d_k_ = Like(problem_.case_of().key_dim);
    d_v_ = Like(problem_.case_of().value_dim);
    d_log_gate_ = problem_.LikeGates();
    d_beta_ = problem_.LikeBeta();
    backward_workspace_ = Workspace(LinearAttentionStage::kGradients);
  }

  const kernels::LinearAttentionProblem problem_;
  const std::unique_ptr<kernels::LinearAttention> op_;
  kernels::CpuStream stream_;
  HostTensor o_, forward_workspace_;
  HostTensor d_q_, d_k_, d_v_, d_log_gate_, d_beta_, backward_workspace_;
};

}  // namespace

std::unique_ptr<TimedCase> TimedLinearCase(const AttentionCase& c) {
  return std::make_unique<LinearCase>(
      c.linear, c.group == AttentionGroup::kBf16 ? DType::kBF16 : DType::kF32);
}

}  // namespace longspan::bench
