// Attention over parts of the keys, merged, is attention over all of them;
// parts that saw no key change nothing.
#include <cmath>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/cpu_stream.h"
#include "kernels/reference/reference_ops.h"
#include "tests/support/attention/softmax_attention_cases.h"

namespace longspan::kernels {
namespace {

constexpr double kNothing = -HUGE_VAL;

std::vector<std::unique_ptr<SoftmaxAttention>> Backends() {
  std::vector<std::unique_ptr<SoftmaxAttention>> backends;
  backends.push_back(CreateReferenceSoftmaxAttention());
  backends.push_back(CreateCpuSoftmaxAttention(BestInstructionSet()));
  return backends;
}

// (o, lse) of a case's queries over its keys [begin, end).
struct Part {
  explicit Part(const SoftmaxAttentionCase& c)
      : o(c.batch * c.query_tokens * c.heads * c.head_dim),
        lse(c.batch * c.heads * c.query_tokens),
        o_view(o.data(), DType::kF64,
               {c.batch, c.query_tokens, c.heads, c.head_dim}),
        lse_view(lse.data(), DType::kF64, {c.batch, c.heads, c.query_tokens}) {}

  std::vector<double> o, lse;
  TensorView o_view, lse_view;
};

std::unique_ptr<Part> Attend(const SoftmaxAttentionProblem& problem,
                             int64_t begin, int64_t end) {
  auto part = std::make_unique<Part>(problem.case_of());
  CpuStream stream(1);
  SoftmaxAttentionInputs inputs = problem.inputs();
  inputs.k = inputs.k.Slice(1, begin, end);
  inputs.v = inputs.v.Slice(1, begin, end);
  EXPECT_EQ(CreateReferenceSoftmaxAttention()->Forward(
                inputs, part->o_view, part->lse_view, TensorView(), stream),
            absl::OkStatus());
  return part;
}

SoftmaxAttentionCase ThreeParts() {
  SoftmaxAttentionCase c;
  c.batch = 2;
  c.query_tokens = 5;
  c.key_tokens = 17;
  c.heads = 4;
  c.key_heads = 2;
  c.head_dim = 9;
  c.mask = AttentionMask::kNone;
  return c;
}

TEST(SoftmaxAttentionMerge, PartsMakeTheWhole) {
  const SoftmaxAttentionProblem problem(ThreeParts(), DType::kF64);
  const auto whole = Attend(problem, 0, 17);
  for (const auto& op : Backends()) {
    for (int threads : {1, 3}) {
      CpuStream stream(threads);
      const auto sum = Attend(problem, 3, 12);
      for (const auto& part :
           {Attend(problem, 12, 17), Attend(problem, 0, 3)}) {
        ASSERT_EQ(op->Merge({part->o_view, part->lse_view}, sum->o_view,
                            sum->lse_view, stream),
                  absl::OkStatus());
      }
      for (size_t i = 0; i < whole->o.size(); ++i) {
        EXPECT_NEAR(sum->o[i], whole->o[i], 1e-13);
      }
      for (size_t i = 0; i < whole->lse.size(); ++i) {
        EXPECT_NEAR(sum->lse[i], whole->lse[i], 1e-13);
      }
    }
  }
}

// One query with one number, in f32.
struct Query {
  float o = 0;
  float lse = 0;
};

Query Merged(SoftmaxAttention& op, Query query, Query part) {
  CpuStream stream(1);
  const auto row = [](float& value) {
    return TensorView(&value, DType::kF32, {1, 1, 1, 1});
  };
  const auto sum = [](float& value) {
    return TensorView(&value, DType::kF32, {1, 1, 1});
  };
  EXPECT_EQ(op.Merge({row(part.o), sum(part.lse)}, row(query.o), sum(query.lse),
                     stream),
            absl::OkStatus());
  return query;
}

TEST(SoftmaxAttentionMerge, ASideThatSawNothingLeavesTheOther) {
  const float nothing = static_cast<float>(kNothing);
  for (const auto& op : Backends()) {
    const Query kept = Merged(*op, {3, 5}, {0, nothing});
    EXPECT_EQ(kept.o, 3);
    EXPECT_EQ(kept.lse, 5);
    const Query taken = Merged(*op, {0, nothing}, {3, 5});
    EXPECT_EQ(taken.o, 3);
    EXPECT_EQ(taken.lse, 5);
    const Query neither = Merged(*op, {0, nothing}, {0, nothing});
    EXPECT_EQ(neither.o, 0);
    EXPECT_EQ(neither.lse, nothing);
  }
}

TEST(SoftmaxAttentionMerge, SumsFarApartDoNotOverflow) {
  for (const auto& op : Backends()) {
    for (float far : {100.0f, 1000.0f, 1e30f}) {
      const Query low = Merged(*op, {3, -far}, {4, far});
      EXPECT_EQ(low.o, 4);
      EXPECT_EQ(low.lse, far);
      const Query high = Merged(*op, {3, far}, {4, -far});
      EXPECT_EQ(high.o, 3);
      EXPECT_EQ(high.lse, far);
    }
    const Query even = Merged(*op, {3, 1000}, {4, 1000});
    EXPECT_FLOAT_EQ(even.o, 3.5);
    EXPECT_FLOAT_EQ(even.lse, 1000 + std::log(2.0f));
  }
}

TEST(SoftmaxAttentionMerge, PartsOfOtherShapesAreRefused) {
  for (const auto& op : Backends()) {
    CpuStream stream(1);
    const SoftmaxAttentionProblem problem(ThreeParts(), DType::kF64);
    const auto a = Attend(problem, 0, 3);
    const auto b = Attend(problem, 3, 17);
    EXPECT_EQ(op->Merge({b->o_view.Slice(1, 0, 4), b->lse_view}, a->o_view,
                        a->lse_view, stream)
                  .code(),
              absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(op->Merge({b->o_view, b->lse_view.Slice(2, 0, 4)}, a->o_view,
                        a->lse_view, stream)
                  .code(),
              absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace longspan::kernels
