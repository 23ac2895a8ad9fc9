// Every barrier, wait, copy and matrix load of the kernels is broken in turn:
// the comparison with the sound result notices.
#include <cmath>

#include "gtest/gtest.h"
#include "tests/kernels/cuda/softmax_attention/emulated_softmax_attention.h"
#include "tests/support/attention/softmax_attention_cases.h"
#include "tests/support/cuda_emulator/fault_sweep.h"

namespace longspan::kernels::cuda {
namespace {

// Lets a run go on after a launch that failed.
class Lenient : public SoftmaxAttention {
 public:
  absl::Status Forward(const SoftmaxAttentionInputs& inputs, TensorView o,
                       TensorView lse, TensorView workspace,
                       Stream& stream) override {
    return Note(op_->Forward(inputs, o, lse, workspace, stream));
  }
  absl::Status Backward(const SoftmaxAttentionInputs& inputs,
                        const SoftmaxAttentionSaved& saved, ConstTensorView d_o,
                        const SoftmaxAttentionGradients& gradients,
                        TensorView workspace, Stream& stream) override {
    return Note(
        op_->Backward(inputs, saved, d_o, gradients, workspace, stream));
  }
  absl::Status Merge(const SoftmaxAttentionSaved& part, TensorView o,
                     TensorView lse, Stream& stream) override {
    return Note(op_->Merge(part, o, lse, stream));
  }
  bool failed() const { return failed_; }

 private:
  absl::Status Note(const absl::Status& status) {
    failed_ = failed_ || !status.ok();
    return absl::OkStatus();
  }

  std::unique_ptr<SoftmaxAttention> op_ = CreateEmulatedSoftmaxAttention();
  bool failed_ = false;
};

// Empty when a launch failed.
std::vector<std::vector<double>> Results(const SoftmaxAttentionProblem& p) {
  EndedStream stream;
  Lenient op;
  const SoftmaxAttentionResults r = p.Run(op, stream, BackendKind::kCuda, 1);
  if (op.failed()) return {};
  return {r.o, r.lse, r.d_q, r.d_k, r.d_v};
}

TEST(CudaSoftmaxAttentionFaults, EachIsNoticed) {
  SoftmaxAttentionCase c;
  c.query_tokens = 70;
  c.key_tokens = 200;
  c.query_offset = 130;
  c.head_dim = 32;
  const SoftmaxAttentionProblem problem(c, DType::kBF16);
  const auto sound = Results(problem);
  const auto passes = [&] { return Results(problem) == sound; };
  ASSERT_EQ(emulated::FailingOrders(passes, 20), 0);
  const auto planted = emulated::SweepFaults(passes, 20);
  EXPECT_GE(planted.size(), 10u);
  int unnoticed_warp_barriers = 0;
  for (const emulated::PlantedFault& fault : planted) {
    // What a copy reads beyond the last row or column is masked afterwards.
    if (fault.kind == emulated::FaultKind::kFullCopy) continue;
    if (fault.site.primitive == emulated::Primitive::kSyncWarp) {
      unnoticed_warp_barriers += fault.caught == 0 ? 1 : 0;
      continue;
    }
    EXPECT_GT(fault.caught, 0) << fault;
  }
  // The one before a warp stages its rows follows its last LoadMatrix, which
  // joins the lanes as well.
  EXPECT_LE(unnoticed_warp_barriers, 1);
}

}  // namespace
}  // namespace longspan::kernels::cuda
