// Backward with only some chunk states kept gives the same bits as with all.
#include <cstdint>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/cost/linear_attention_plan.h"
#include "kernels/cpu/linear_attention_kernels.h"
#include "tests/support/attention/host_tensor.h"

namespace longspan::kernels {
namespace {

constexpr int64_t kTokens = kChunk * 9 + 5;
constexpr int64_t kDim = 16;

HostTensor Uniform(uint64_t seed, double low, double high,
                   std::initializer_list<int64_t> shape) {
  HostTensor tensor(DType::kF64, shape);
  FillUniform(seed, low, high, tensor.view());
  return tensor;
}

double* Data(const HostTensor& tensor) {
  return tensor.view().data_as<double>();
}

// All gradients, one after another.
std::vector<double> Gradients(int64_t group_blocks,
                              const std::vector<int64_t>& starts) {
  LinearAttentionGroup<double> group;
  LinearAttentionSequence<double>& s = group.heads[0];
  const HostTensor q = Uniform(1, -1, 1, {kTokens, kDim});
  const HostTensor k = Uniform(2, -1, 1, {kTokens, kDim});
  const HostTensor v = Uniform(3, -1, 1, {kTokens, kDim});
  const HostTensor d_o = Uniform(4, -1, 1, {kTokens, kDim});
  const HostTensor gates = Uniform(5, -0.1, 0, {kTokens});
  const HostTensor initial = Uniform(6, -1, 1, {kDim, kDim});
  const HostTensor d_final = Uniform(7, -1, 1, {kDim, kDim});
  const HostTensor out(DType::kF64, {3 * kTokens * kDim + kTokens});
  const HostTensor d_initial(DType::kF64, {kDim, kDim});
  const HostTensor scratch(DType::kF64, {int64_t{1} << 16});
  s.tokens = kTokens;
  s.key_dim = s.value_dim = kDim;
  s.decay = DecayKind::kPerToken;
  s.log_gate = {Data(gates), 1};
  s.document_starts = starts.data();
  s.document_count = static_cast<int64_t>(starts.size());
  s.q = {Data(q), kDim};
  s.k = {Data(k), kDim};
  s.v = {Data(v), kDim};
  s.d_o = {Data(d_o), kDim};
  s.initial_state = {Data(initial), kDim};
  s.d_final_state = {Data(d_final), kDim};
  s.d_q = {Data(out), kDim};
  s.d_k = {Data(out) + kTokens * kDim, kDim};
  s.d_v = {Data(out) + 2 * kTokens * kDim, kDim};
  s.d_log_gate = {Data(out) + 3 * kTokens * kDim, 1};
  s.d_initial_state = {Data(d_initial), kDim};
  group.count = 1;
  group.plan = PlanLinearAttention(LinearAttentionStage::kGradients,
                                   {1, kTokens, 1, kDim, kDim, 8}, 1);
  group.plan.group_blocks = group_blocks;
  group.plan.groups = (group.plan.blocks + group_blocks - 1) / group_blocks;
  group.scratch = Data(scratch);
  LinearAttentionFor<double>(BestInstructionSet()).gradients(group);
  std::vector<double> all = out.ToDoubles();
  for (double x : d_initial.ToDoubles()) all.push_back(x);
  return all;
}

TEST(LinearAttentionRecompute, KeepingFewerStatesChangesNoBit) {
  for (const std::vector<int64_t>& starts :
       {std::vector<int64_t>{}, {128, 300, 301}}) {
    const std::vector<double> all_kept = Gradients(10, starts);
    for (int64_t group_blocks : {1, 3, 4, 9}) {
      EXPECT_EQ(Gradients(group_blocks, starts), all_kept) << group_blocks;
    }
  }
}

TEST(LinearAttentionRecompute, PlanKeepsAllStatesOnlyWhileTheyAreSmall) {
  LinearAttentionShape shape = {1, 4096, 8, 256, 256, 4};
  const auto plan = [&] {
    return PlanLinearAttention(LinearAttentionStage::kGradients, shape, 1);
  };
  EXPECT_EQ(plan().groups, 1);      // small in bytes
  shape.tokens = int64_t{1} << 20;  // 16384 blocks, 128 by 128
  EXPECT_EQ(plan().group_blocks, 128);
  EXPECT_EQ(plan().groups, 128);
  // 2 sqrt(blocks) + 3 states of 256 KiB of the one head at work, and the
  // chunk's buffers.
  EXPECT_LT(plan().scratch_elements * 4, (259 * 256 + 1024) * 1024);
  // Small beside q, k, v and d_o.
  shape.key_dim = shape.value_dim = 128;
  EXPECT_EQ(plan().groups, 1);
  EXPECT_LT(plan().head_elements,
            shape.tokens * 2 * 128 + 5 * plan().state_elements);
}

}  // namespace
}  // namespace longspan::kernels
