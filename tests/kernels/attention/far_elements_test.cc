// Tokens whose elements lie beyond 2^31, where 32-bit offsets turn round: a
// sparsely mapped buffer of 2^32 elements with one token every 2^18, on one
// page each. Results equal those of the same numbers side by side, bit for bit.
#include <sys/mman.h>

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/check.h"
#include "gtest/gtest.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/cpu_stream.h"
#include "tests/support/attention/linear_attention_problem.h"
#include "tests/support/attention/softmax_attention_cases.h"

namespace longspan::kernels {
namespace {

constexpr int64_t kFarTokens = int64_t{1} << 14;
constexpr int64_t kStride = int64_t{1} << 18;
constexpr int64_t kElements = kFarTokens * kStride;
static_assert(kElements > int64_t{1} << 31);

// Address space without memory behind it until a page is written.
class SparseTokens {
 public:
  SparseTokens() {
    data_ = mmap(nullptr, kElements * sizeof(float), PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    LONGSPAN_CHECK(data_ != MAP_FAILED) << "no address space";
    madvise(data_, kElements * sizeof(float), MADV_NOHUGEPAGE);
  }
  ~SparseTokens() { munmap(data_, kElements * sizeof(float)); }
  SparseTokens(const SparseTokens&) = delete;
  SparseTokens& operator=(const SparseTokens&) = delete;

  // The next `size` elements of every token, as [1, kFarTokens, 1, size].
  TensorView Next(int64_t size) {
    const TensorView all(data_, DType::kF32, {1, kFarTokens, kStride});
    used_ += size;
    return all.Slice(2, used_ - size, used_).SplitLast(1);
  }
  TensorView CopyOf(const ConstTensorView& from) {
    const TensorView to = Next(from.size(3));
    FromDoubles(ToDoubles(from), to);
    return to;
  }
  // Of a gate per token, [1, kFarTokens, 1].
  TensorView CopyOfGate(const ConstTensorView& from) {
    const TensorView to = Next(1).Select(3, 0);
    FromDoubles(ToDoubles(from), to);
    return to;
  }

 private:
  void* data_ = nullptr;
  int64_t used_ = 0;
};

// The first tokens, the last ones, and those on both sides of 2^31 elements.
void ExpectSameTokens(const ConstTensorView& far, const ConstTensorView& near,
                      const std::string& what) {
  constexpr int64_t kBorder = (int64_t{1} << 31) / kStride;
  for (int64_t t : {int64_t{0}, int64_t{1}, kBorder - 1, kBorder, kBorder + 1,
                    kFarTokens - 2, kFarTokens - 1}) {
    EXPECT_EQ(ToDoubles(far.Slice(1, t, t + 1)),
              ToDoubles(near.Slice(1, t, t + 1)))
        << what << ", token " << t;
  }
  EXPECT_EQ(ToDoubles(far), ToDoubles(near)) << what;
}

LinearAttentionCase Linear(Transition transition) {
  LinearAttentionCase c;
  c.tokens = kFarTokens;
  c.transition = transition;
  c.dense_decay = Transition::kVector;
  return c;
}

struct Outputs {
  TensorView o, d_q, d_k, d_v;
};

// Forward and backward on `inputs`.
void Calculate(const LinearAttentionProblem& problem,
               const LinearAttentionInputs& inputs, ConstTensorView d_o,
               const Outputs& out) {
  const auto op = CreateCpuLinearAttention();
  CpuStream stream(1);
  const auto workspace = [&](LinearAttentionStage stage) {
    return HostTensor::Workspace(LinearAttentionWorkspaceBytes(
        stage, problem.shape(), BackendKind::kCpu, 1));
  };
  const HostTensor forward = workspace(LinearAttentionStage::kOutputs);
  ASSERT_EQ(op->Outputs(inputs, problem.initial_state(), ChunkTerms::kAll,
                        {out.o, {}}, forward.view(), stream),
            absl::OkStatus());
  const HostTensor d_log_gate = problem.LikeGates();
  const HostTensor d_beta = problem.LikeBeta();
  const HostTensor backward = workspace(LinearAttentionStage::kGradients);
  ASSERT_EQ(
      op->Gradients(
          inputs, problem.initial_state(), {d_o, {}}, ChunkTerms::kAll,
          {out.d_q, out.d_k, out.d_v, d_log_gate.view(), {}, d_beta.view()},
          backward.view(), stream),
      absl::OkStatus());
}

std::string TransitionName(const testing::TestParamInfo<Transition>& info) {
  constexpr const char* kNames[] = {"Identity", "Constant", "Scalar", "Vector",
                                    "Dense"};
  return kNames[static_cast<int>(info.param)];
}

class FarElements : public testing::TestWithParam<Transition> {};

TEST_P(FarElements, LinearAttention) {
  const LinearAttentionProblem problem(Linear(GetParam()), DType::kF32);
  const LinearAttentionCase& c = problem.case_of();
  SparseTokens sparse;
  LinearAttentionInputs inputs = problem.inputs();
  inputs.q = sparse.CopyOf(inputs.q);
  inputs.k = sparse.CopyOf(inputs.k);
  inputs.v = sparse.CopyOf(inputs.v);
  if (!inputs.beta.is_null()) inputs.beta = sparse.CopyOfGate(inputs.beta);
  if (!inputs.log_gate.is_null()) {
    inputs.log_gate = inputs.log_gate.rank() == 3
                          ? sparse.CopyOfGate(inputs.log_gate)
                          : sparse.CopyOf(inputs.log_gate);
  }
  const TensorView d_o = sparse.CopyOf(problem.d_o());
  const Outputs far = {sparse.Next(c.value_dim), sparse.Next(c.key_dim),
                       sparse.Next(c.key_dim), sparse.Next(c.value_dim)};
  Calculate(problem, inputs, d_o, far);

  HostTensor o(DType::kF32, {1, kFarTokens, 1, c.value_dim});
  HostTensor d_q(DType::kF32, {1, kFarTokens, 1, c.key_dim});
  HostTensor d_k(DType::kF32, {1, kFarTokens, 1, c.key_dim});
  HostTensor d_v(DType::kF32, {1, kFarTokens, 1, c.value_dim});
  Calculate(problem, problem.inputs(), problem.d_o(),
            {o.view(), d_q.view(), d_k.view(), d_v.view()});
  ExpectSameTokens(far.o, o.view(), "o");
  ExpectSameTokens(far.d_q, d_q.view(), "d_q");
  ExpectSameTokens(far.d_k, d_k.view(), "d_k");
  ExpectSameTokens(far.d_v, d_v.view(), "d_v");
}

INSTANTIATE_TEST_SUITE_P(Transitions, FarElements,
                         testing::Values(Transition::kIdentity,
                                         Transition::kConstant,
                                         Transition::kScalar,
                                         Transition::kVector,
                                         Transition::kDense),
                         TransitionName);

TEST(FarElementsOfSoftmax, Attention) {
  SoftmaxAttentionCase c;
  c.query_tokens = c.key_tokens = kFarTokens;
  c.mask = AttentionMask::kWindow;
  c.window = 20;
  const SoftmaxAttentionProblem problem(c, DType::kF32);
  SparseTokens sparse;
  SoftmaxAttentionInputs inputs = problem.inputs();
  inputs.q = sparse.CopyOf(inputs.q);
  inputs.k = sparse.CopyOf(inputs.k);
  inputs.v = sparse.CopyOf(inputs.v);
  const TensorView far = sparse.Next(c.head_dim);
  HostTensor near(DType::kF32, {1, kFarTokens, 1, c.head_dim});
  HostTensor lse(DType::kF32, {1, 1, kFarTokens});
  const HostTensor workspace =
      HostTensor::Workspace(SoftmaxAttentionWorkspaceBytes(
          false, problem.shape(), BackendKind::kCpu, 1));
  const auto op = CreateCpuSoftmaxAttention();
  CpuStream stream(1);
  ASSERT_EQ(op->Forward(inputs, far, lse.view(), workspace.view(), stream),
            absl::OkStatus());
  ASSERT_EQ(op->Forward(problem.inputs(), near.view(), lse.view(),
                        workspace.view(), stream),
            absl::OkStatus());
  ExpectSameTokens(far, near.view(), "o");
}

}  // namespace
}  // namespace longspan::kernels
