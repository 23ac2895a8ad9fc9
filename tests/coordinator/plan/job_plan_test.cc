#include "coordinator/plan/job_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/model_spec/communication_plan.h"

namespace longspan::coordinator {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

PlanRequest Request(int ranks, int64_t tokens = 512) {
  ModelSpec model;
  model.hidden_size = 64;
  model.layer_count = 2;
  model.layer_pattern = "LN";
  PlanRequest request;
  request.model = ResolveDefaults(model);
  request.tokens = tokens;
  request.ranks = ranks;
  request.tokens_path = "train.sequence_length";
  return request;
}

TEST(JobPlanTest, RangesTileTheSequence) {
  for (int ranks = 1; ranks <= 7; ++ranks) {
    const PlanResult result = PlanJob(Request(ranks, 1001));
    ASSERT_TRUE(result.problems.empty());
    EXPECT_TRUE(CheckTiling(result.plan.ranges, 1001).ok());
    EXPECT_EQ(result.plan.memory.size(), static_cast<size_t>(ranks));
  }
}

TEST(JobPlanTest, TooManyRanksIsAProblemOfTheField) {
  const PlanResult result = PlanJob(Request(9, 8));
  ASSERT_EQ(result.problems.size(), 1u);
  EXPECT_EQ(result.problems[0].path, "train.sequence_length");
  EXPECT_EQ(result.problems[0].message,
            "8 tokens cannot be cut into 9 ranks: every rank holds at least "
            "one token");
}

TEST(JobPlanTest, HeadsThatTravelNeedAHeadForEveryRank) {
  PlanRequest request = Request(3);
  request.method = SequenceParallel::kUlysses;
  request.method_path = "train.sequence_parallel";
  request.model->linear.heads = request.model->linear.key_heads = 4;
  const PlanResult fits = PlanJob(request);
  ASSERT_TRUE(fits.problems.empty());
  EXPECT_THAT(fits.plan.reasons,
              ::testing::Contains(::testing::HasSubstr(
                  "take 2, 1, 1 of 4 heads over all 512 tokens")));
  EXPECT_GT(fits.plan.layers[0].forward_bytes[2], 0);
  request.ranks = 5;
  const PlanResult refused = PlanJob(request);
  ASSERT_EQ(refused.problems.size(), 1u);
  EXPECT_EQ(refused.problems[0].path, "train.sequence_parallel");
  EXPECT_THAT(refused.problems[0].message,
              ::testing::HasSubstr("5 ranks are more than the 4 heads"));
  // Replicas have heads of their own.
  request.ranks = 6;
  request.replicas = request.batch = 2;
  EXPECT_TRUE(PlanJob(request).problems.empty());
}

TEST(JobPlanTest, HeadsOfSoftmaxLayersThatTravelNeedAHeadForEveryRank) {
  PlanRequest request = Request(3);
  request.softmax_method = SoftmaxParallel::kUlysses;
  request.softmax_method_path = "train.softmax_sequence_parallel";
  request.model->softmax.heads = 4;
  request.model->softmax.key_heads = 2;
  const PlanResult fits = PlanJob(request);
  ASSERT_TRUE(fits.problems.empty());
  EXPECT_THAT(
      fits.plan.reasons,
      ::testing::Contains(::testing::HasSubstr(
          "take 1, 1, 2 of 4 heads over all 512 tokens in softmax layers")));
  request.ranks = 5;
  const PlanResult refused = PlanJob(request);
  ASSERT_EQ(refused.problems.size(), 1u);
  EXPECT_EQ(refused.problems[0].path, "train.softmax_sequence_parallel");
}

TEST(JobPlanTest, MemoryThatDoesNotFitNamesBothNumbers) {
  PlanRequest request = Request(2);
  const int64_t needed = PlanJob(request).plan.LargestRankBytes();
  request.device_memory_bytes = needed;
  EXPECT_TRUE(PlanJob(request).problems.empty());
  request.device_memory_bytes = needed - 1;
  const PlanResult result = PlanJob(request);
  ASSERT_EQ(result.problems.size(), 1u);
  EXPECT_NE(result.problems[0].message.find("a rank needs "),
            std::string::npos);
  EXPECT_NE(result.problems[0].message.find("256 tokens"), std::string::npos)
      << result.problems[0].message;
}

TEST(JobPlanTest, MoreRanksNeedLessEach) {
  EXPECT_LT(PlanJob(Request(4, 1 << 16)).plan.LargestRankBytes(),
            PlanJob(Request(1, 1 << 16)).plan.LargestRankBytes());
}

TEST(JobPlanTest, LinearLayersSendTheSameAtAnyLength) {
  const JobPlan small = PlanJob(Request(2, 512)).plan;
  const JobPlan large = PlanJob(Request(2, 262144)).plan;
  ASSERT_EQ(small.layers.size(), 2u);
  EXPECT_EQ(small.layers[0].mixer, "simple_gla");
  EXPECT_EQ(small.layers[1].mixer, "softmax");
  EXPECT_GT(small.layers[0].forward_bytes[0], 0);
  EXPECT_EQ(small.layers[0].forward_bytes, large.layers[0].forward_bytes);
  EXPECT_EQ(small.layers[0].backward_bytes, large.layers[0].backward_bytes);
  EXPECT_EQ(large.layers[1].forward_bytes[0],
            512 * small.layers[1].forward_bytes[0]);
}

TEST(JobPlanTest, TrafficIsThatOfTheModel) {
  const PlanRequest request = Request(3, 1000);
  const JobPlan plan = PlanJob(request).plan;
  CommunicationShape shape;
  shape.ranges = plan.ranges;
  for (int rank = 0; rank < 3; ++rank) {
    int64_t sent = 0, planned = 0;
    for (const PlannedTransfer& transfer :
         PlanCommunication(*request.model, shape, rank)) {
      if (transfer.layer >= 0 &&
          transfer.kind != TransferKind::kConvolutionHalo) {
        sent += transfer.bytes_sent;
      }
    }
    for (const LayerTraffic& layer : plan.layers) {
      planned += layer.forward_bytes[rank] + layer.backward_bytes[rank];
    }
    EXPECT_EQ(planned, sent);
  }
}

TEST(JobPlanTest, ReplicasShareTheBatchAndSumGradients) {
  PlanRequest request = Request(2, 1000);
  request.batch = 2;
  const JobPlan one = PlanJob(request).plan;
  request.ranks = 4;
  request.batch = 4;
  request.replicas = 2;
  const JobPlan two = PlanJob(request).plan;
  EXPECT_EQ(two.ranks(), 4);
  EXPECT_EQ(two.ranges.size(), 2u);
  EXPECT_EQ(two.RangesOf(3)[0].begin, 500);
  ASSERT_EQ(two.memory.size(), 4u);
  EXPECT_EQ(two.memory[3].arena_bytes, one.memory[1].arena_bytes);
  EXPECT_EQ(two.flops_per_step, 2 * one.flops_per_step);
  for (size_t layer = 0; layer < two.layers.size(); ++layer) {
    for (int rank = 0; rank < 4; ++rank) {
      EXPECT_EQ(two.layers[layer].forward_bytes[rank],
                one.layers[layer].forward_bytes[rank % 2]);
    }
  }
  EXPECT_GT(two.gradient_sync_bytes_per_rank, one.gradient_sync_bytes_per_rank);
  EXPECT_EQ(two.reasons[1],
            "data_parallel 2: groups of 2 neighbouring ranks, each with 2 of "
            "the 4 sequences of a step; only gradients cross between groups");
}

TEST(JobPlanTest, OneRankSendsNothing) {
  const JobPlan plan = PlanJob(Request(1)).plan;
  for (const LayerTraffic& layer : plan.layers) {
    EXPECT_EQ(layer.forward_bytes, std::vector<int64_t>{0});
    EXPECT_EQ(layer.halo_bytes, 0);
  }
  EXPECT_EQ(plan.gradient_sync_bytes_per_rank, 0);
}

TEST(JobPlanTest, GathersSayHowTheyCarryStates) {
  PlanRequest request = Request(4, 4096);
  const JobPlan plain = PlanJob(request).plan;
  request.state_gather = {.bf16 = true, .splits = 4};
  const JobPlan narrow = PlanJob(request).plan;
  EXPECT_EQ(narrow.reasons[1],
            "sequence_parallel lasp2: of linear layers, gathered as bf16, half "
            "the bytes, in 4 calls");
  // Backward states travel alone, forward with their decays.
  const LayerTraffic& wide = plain.layers[0];
  EXPECT_EQ(2 * narrow.layers[0].backward_bytes[0], wide.backward_bytes[0]);
  EXPECT_EQ(wide.forward_bytes[0] - narrow.layers[0].forward_bytes[0],
            wide.backward_bytes[0] / 2);
  EXPECT_LE(narrow.LargestRankBytes(), plain.LargestRankBytes());
}

TEST(JobPlanTest, EachKindOfLayerHasItsMethod) {
  PlanRequest request = Request(4, 4096);
  request.model->softmax.heads = 2;
  request.model->softmax.key_heads = 2;
  request.model->softmax.head_dim = 32;
  const JobPlan gather = PlanJob(request).plan;
  request.softmax_method = SoftmaxParallel::kRing;
  const JobPlan ring = PlanJob(request).plan;
  ASSERT_EQ(ring.reasons.size(), 4u);
  EXPECT_EQ(ring.reasons[1], "sequence_parallel lasp2: of linear layers");
  EXPECT_EQ(ring.reasons[2].find("softmax_sequence_parallel ring: "), 0u);
  EXPECT_EQ(gather.reasons[2],
            "softmax_sequence_parallel gather: every rank keeps the keys and "
            "values of all tokens, which come in 2 slices of heads, all "
            "but the first while it attends to the one before");
  EXPECT_EQ(ring.layers[0].backward_bytes, gather.layers[0].backward_bytes);
  // A shard goes to the ranks after its own, by way of each other; backward the
  // sums of its gradients begin their way behind it.
  const int64_t shard = gather.layers[1].forward_bytes[0] / 3;
  EXPECT_EQ(ring.layers[1].forward_bytes,
            (std::vector<int64_t>{shard, 2 * shard, 3 * shard, 0}));
  EXPECT_EQ(ring.layers[1].backward_bytes[0], 2 * shard);
  EXPECT_LT(ring.LargestRankBytes(), gather.LargestRankBytes());
}

TEST(JobPlanTest, ZigzagGivesRanksTwoRangesAndAsMuchAttention) {
  PlanRequest request = Request(4, 8192);
  request.layout = TokenLayout::kZigzag;
  const JobPlan zigzag = PlanJob(request).plan;
  EXPECT_EQ(zigzag.group(), 4);
  EXPECT_THAT(zigzag.RangesOf(1),
              ElementsAre(TokenRange{1024, 2048}, TokenRange{6144, 7168}));
  EXPECT_EQ(zigzag.reasons[0],
            "8192 tokens over 4 ranks: zigzag, two parts each of all 8, the "
            "first 0 longer by one");
  EXPECT_THAT(
      zigzag.reasons.back(),
      HasSubstr(
          "layout zigzag, as asked: the busiest rank has 1.75 of the mean "
          "of attention contiguous, 1.00 zigzag"));
  request.layout = TokenLayout::kContiguous;
  const JobPlan contiguous = PlanJob(request).plan;
  EXPECT_THAT(
      contiguous.reasons.back(),
      HasSubstr("layout contiguous, as asked: the busiest rank has 1.75"));
  // Two states instead of one, and the same keys.
  EXPECT_EQ(zigzag.layers[0].forward_bytes[2],
            2 * contiguous.layers[0].forward_bytes[2]);
  EXPECT_EQ(zigzag.layers[1].forward_bytes[2],
            contiguous.layers[1].forward_bytes[2]);
}

TEST(JobPlanTest, ThePlannerChoosesTheLayout) {
  const auto choice = [](PlanRequest request) {
    request.layout = std::nullopt;
    const PlanResult result = PlanJob(request);
    EXPECT_TRUE(result.problems.empty());
    return result.plan;
  };
  EXPECT_EQ(choice(Request(4, 65536)).layout, TokenLayout::kZigzag);
  // What it saves is less than the states that it adds.
  EXPECT_EQ(choice(Request(4, 64)).layout, TokenLayout::kContiguous);
  EXPECT_EQ(choice(Request(1, 65536)).layout, TokenLayout::kContiguous);
  PlanRequest other = Request(4, 65536);
  other.model->softmax.window = 128;
  EXPECT_THAT(choice(other).reasons.back(),
              HasSubstr("layout contiguous: queries see 128 tokens"));
  other = Request(4, 65536);
  other.model->layer_pattern = "LL";
  EXPECT_THAT(choice(other).reasons.back(),
              HasSubstr("layout contiguous: linear layers"));
  other = Request(4, 65536);
  other.method = SequenceParallel::kAllScan;
  EXPECT_THAT(choice(other).reasons.back(),
              HasSubstr("layout contiguous: zigzag goes with "
                        "sequence_parallel lasp2, not with all_scan"));
  other = Request(4, 65536);
  other.softmax_method = SoftmaxParallel::kRing;
  EXPECT_EQ(choice(other).layout, TokenLayout::kContiguous);
  other = Request(4, 65536);
  other.backend = "cuda";
  EXPECT_EQ(choice(other).layout, TokenLayout::kContiguous);
}

TEST(JobPlanTest, UnknownModelIsSaid) {
  PlanRequest request = Request(2);
  request.model.reset();
  request.mode = RunMode::kGenerate;
  const PlanResult result = PlanJob(request);
  EXPECT_TRUE(result.problems.empty());
  EXPECT_TRUE(result.plan.memory.empty());
  EXPECT_EQ(result.plan.LargestRankBytes(), 0);
  ASSERT_EQ(result.plan.reasons.size(), 2u);
  EXPECT_NE(result.plan.reasons[1].find("unknown"), std::string::npos);
}

}  // namespace
}  // namespace longspan::coordinator
