#include "bench/attention/timed_case.h"
#include "common/base/check.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/cpu_stream.h"

namespace longspan::bench {
namespace {

using kernels::DType;
using kernels::HostTensor;
using kernels::SoftmaxAttentionCase;

class SoftmaxCase : public TimedCase {
 public:
  explicit SoftmaxCase(const SoftmaxAttentionCase& c)
      : problem_(c, DType::kF32),
        op_(kernels::CreateCpuSoftmaxAttention()),
        stream_(1),
        o_(Like(c.heads)),
        lse_(DType::kF32, {c.batch, c.heads, c.query_tokens}),
        forward_workspace_(Workspace(/*backward=*/false)) {}

  void Forward() override {
    LONGSPAN_CHECK_OK(op_->Forward(problem_.inputs(), o_.view(), lse_.view(),
                                   forward_workspace_.view(), stream_));
  }

  void Backward() override {
    if (d_q_.view().is_null()) AllocateGradients();
    LONGSPAN_CHECK_OK(op_->Backward(problem_.inputs(), {o_.view(), lse_.view()},
                                    problem_.d_o(),
                                    {d_q_.view(), d_k_.view(), d_v_.view()},
                                    backward_workspace_.view(), stream_));
  }

 private:
  HostTensor Like(int64_t heads) const {
    const SoftmaxAttentionCase& c = problem_.case_of();
    return HostTensor(DType::kF32,
                      {c.batch, c.query_tokens, heads, c.head_dim});
  }

  HostTensor Workspace(bool backward) const {
    return HostTensor::Workspace(kernels::SoftmaxAttentionWorkspaceBytes(
        backward, problem_.shape(), kernels::BackendKind::kCpu, 1));
  }

  void AllocateGradients() {
    d_q_ = Like(problem_.case_of().heads);
    d_k_ = Like(problem_.case_of().key_heads);
    d_v_ = Like(problem_.case_of().key_heads);
    backward_workspace_ = Workspace(/*backward=*/true);
  }

  const kernels::SoftmaxAttentionProblem problem_;
  const std::unique_ptr<kernels::SoftmaxAttention> op_;
  kernels::CpuStream stream_;
  HostTensor o_, lse_, forward_workspace_;
  HostTensor d_q_, d_k_, d_v_, backward_workspace_;
};

}  // namespace

std::unique_ptr<TimedCase> TimedSoftmaxCase(const AttentionCase& c) {
  return std::make_unique<SoftmaxCase>(c.softmax);
}

}  // namespace longspan::bench
