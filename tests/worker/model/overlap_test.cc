// A slow network under a real layer: what runs while the states are on their
// way, and how long a rank stands still for them. The recurrence's parts take
// a given time on the ranks' own clocks, everything else none, so each time
// here follows from the method alone.
#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "common/base/status_macros.h"
#include "common/model_spec/memory_plan.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/manual_rank_clock/manual_rank_clock.h"
#include "tests/support/model_gang/model_gang.h"
#include "tests/support/thread_world.h"
#include "tests/worker/model/test_specs.h"
#include "tests/worker/model/timed_backend.h"
#include "worker/collective/emulated_network_group.h"

namespace longspan::testing {
namespace {

using kernels::DType;
using kernels::TensorView;
using ::testing::ElementsAre;
using worker::Direction;

constexpr int kRanks = 3;
constexpr TimedParts kParts = {.summarise = absl::Seconds(1),
                               .intra_chunk = absl::Seconds(3),
                               .inter_chunk = absl::Seconds(2),
                               .softmax = absl::Seconds(3)};

struct RankRun {
  std::vector<TimedEvent> events;
  absl::Duration forward_exposed;
  absl::Duration backward_exposed;
  absl::Duration forward_end;
  absl::Duration end;

  absl::Duration EndOf(const std::string& part) const {
    for (const TimedEvent& event : events) {
      if (event.part == part) return event.end;
    }
    ADD_FAILURE() << part << " did not run";
    return absl::InfiniteDuration();
  }
};

// Of the one layer, whatever it sends.
absl::Duration Exposed(const worker::ProcessGroup& group, Direction direction) {
  absl::Duration exposed;
  for (const auto& [tag, counts] : group.counters()) {
    if (tag.direction != direction || tag.layer != 0) continue;
    exposed += counts.exposed_time.value_or(absl::InfiniteDuration());
  }
  return exposed;
}

// Forward and backward of a model of one layer.
absl::Status RunRank(const GangCase& c, const worker::EmulatedNetwork& network,
                     worker::ProcessGroup& threads, RankRun& run) {
  const std::vector<TokenRange> ranges = RangesOf(c, threads.size());
  const MemoryPlan plan =
      PlanMemory(c.spec, ShapeOf(c, RunMode::kTrain, ranges, threads.rank()));
  RankFixture rank(c, &threads, plan.arena_bytes, true);
  ManualRankClock clock;
  const auto group =
      worker::CreateEmulatedNetworkGroup(network, &threads, &clock);
  worker::RankContext context = rank.context();
  TimedBackend backend(context.backend, kParts, &clock);
  context.group = group.get();
  context.backend = &backend;

  ASSIGN_OR_RETURN(
      const worker::SequenceShard shard,
      worker::SequenceShard::Create({.batch = c.batch, .tokens = c.tokens},
                                    ranges, threads.rank()));
  std::vector<int32_t> ids = LocalRows(c.ids, shard);
  const worker::ModelInput input = {
      TensorView(ids.data(), DType::kI32, {shard.rows()}), &shard};
  worker::ModelTape tape;
  RETURN_IF_ERROR(rank.model().ForwardKeepingTape(context, input, tape));
  run.forward_end = clock.now();
  RETURN_IF_ERROR(
      context.backend->elementwise().SetZero(tape.d_hidden, *context.stream));
  RETURN_IF_ERROR(rank.model().Backward(context, input, tape).status());
  run.events = backend.events();
  run.forward_exposed = Exposed(*group, Direction::kForward);
  run.backward_exposed = Exposed(*group, Direction::kBackward);
  run.end = clock.now();
  return absl::OkStatus();
}

std::vector<RankRun> RunCase(const GangCase& c,
                             const worker::EmulatedNetwork& network) {
  std::vector<RankRun> runs(kRanks);
  const absl::Status status =
      RunThreadWorld(kRanks, [&](worker::ProcessGroup& threads) {
        return RunRank(c, network, threads, runs[threads.rank()]);
      });
  EXPECT_TRUE(status.ok()) << status;
  return runs;
}

// Bytes take no time.
worker::EmulatedNetwork Latency(absl::Duration latency) {
  return {latency, std::numeric_limits<double>::infinity()};
}

std::vector<RankRun> RunGang(SequenceParallel method, absl::Duration latency) {
  ModelSpec spec = SmallSpec(LinearMixer::kSimpleGla, "L");
  spec.linear.short_convolution = 0;
  GangCase c = MakeGangCase(spec, 1, 48);
  c.method = method;
  return RunCase(c, Latency(latency));
}

std::vector<RankRun> RunGang(SoftmaxParallel method, absl::Duration latency) {
  GangCase c = MakeGangCase(SmallSpec(LinearMixer::kBasic, "N"), 1, 48);
  c.softmax_method = method;
  return RunCase(c, Latency(latency));
}

std::vector<double> Seconds(const std::vector<RankRun>& runs,
                            absl::Duration RankRun::*what) {
  std::vector<double> seconds;
  for (const RankRun& run : runs) {
    seconds.push_back(absl::ToDoubleSeconds(run.*what));
  }
  return seconds;
}

double LongestStep(SequenceParallel method, absl::Duration latency) {
  const std::vector<double> ends =
      Seconds(RunGang(method, latency), &RankRun::end);
  return *std::max_element(ends.begin(), ends.end());
}

// ---- LASP-2 ----------------------------------------------------------------

// All ranks send at 1 s and get everything at 11 s. Meanwhile each computes
// what stays inside its chunks, until 4 s (rank 0, which no state enters, all
// of it, until 6 s).
TEST(OverlapTest, TheIntraChunkPartEndsBeforeTheGather) {
  const std::vector<RankRun> runs =
      RunGang(SequenceParallel::kLasp2, absl::Seconds(10));
  const absl::Duration gathered = absl::Seconds(1 + 10);
  for (const RankRun& run : runs) {
    EXPECT_EQ(run.EndOf("output inside chunks"), absl::Seconds(1 + 3));
    EXPECT_LT(run.EndOf("output inside chunks"), gathered);
    EXPECT_LT(run.EndOf("d input inside chunks"), run.end);
  }
  for (int rank : {1, 2}) {
    EXPECT_EQ(runs[rank].EndOf("output through states"),
              gathered + absl::Seconds(2));
  }
  // 10 s less what ran meanwhile.
  EXPECT_THAT(Seconds(runs, &RankRun::forward_exposed), ElementsAre(5, 7, 7));
}

// The mirror image: ranks begin at 11, 13 and 13 s, so gradients of the
// leaving states are there at 24 s; the last rank does both parts meanwhile.
TEST(OverlapTest, SoDoesItBackward) {
  const std::vector<RankRun> runs =
      RunGang(SequenceParallel::kLasp2, absl::Seconds(10));
  EXPECT_THAT(Seconds(runs, &RankRun::forward_end), ElementsAre(11, 13, 13));
  EXPECT_EQ(runs[0].EndOf("d input inside chunks"), absl::Seconds(15));
  EXPECT_EQ(runs[1].EndOf("d input inside chunks"), absl::Seconds(17));
  EXPECT_THAT(Seconds(runs, &RankRun::backward_exposed), ElementsAre(9, 7, 5));
  EXPECT_THAT(Seconds(runs, &RankRun::end), ElementsAre(26, 26, 24));
}

TEST(OverlapTest, ExposedTimeIsWhatTheWorkDoesNotCover) {
  for (const int latency : {0, 2, 3, 4, 20}) {
    SCOPED_TRACE(latency);
    const std::vector<RankRun> runs =
        RunGang(SequenceParallel::kLasp2, absl::Seconds(latency));
    const double exposed = std::max(0, latency - 3);
    EXPECT_THAT(Seconds(runs, &RankRun::forward_exposed),
                ElementsAre(std::max(0, latency - 5), exposed, exposed));
  }
}

// ---- Beside the other methods ----------------------------------------------

// Rank r waits for r hops; LASP-1 as released besides for the ranges before.
TEST(OverlapTest, ChainsWaitForEveryHop) {
  const std::vector<RankRun> serial =
      RunGang(SequenceParallel::kLasp1Serial, absl::Seconds(10));
  EXPECT_THAT(Seconds(serial, &RankRun::forward_exposed),
              ElementsAre(0, 1 + 10, 2 + 20));
  // It receives before any work: its first part begins after the wait.
  EXPECT_EQ(serial[2].EndOf("summary"), absl::Seconds(2 + 20 + 1));
  const std::vector<RankRun> reordered =
      RunGang(SequenceParallel::kLasp1, absl::Seconds(10));
  EXPECT_THAT(Seconds(reordered, &RankRun::forward_exposed),
              ElementsAre(0, 10 - 3, 20 - 3));
  EXPECT_EQ(reordered[2].EndOf("output inside chunks"), absl::Seconds(4));
}

TEST(OverlapTest, WhoWaitsLeastWhereLatencyIsEverything) {
  const absl::Duration latency = absl::Seconds(10);
  const double lasp2 = LongestStep(SequenceParallel::kLasp2, latency);
  const double scan = LongestStep(SequenceParallel::kScan, latency);
  const double all_scan = LongestStep(SequenceParallel::kAllScan, latency);
  const double lasp1 = LongestStep(SequenceParallel::kLasp1, latency);
  const double serial = LongestStep(SequenceParallel::kLasp1Serial, latency);
  EXPECT_LT(lasp2, scan);
  EXPECT_LE(scan, lasp1);
  EXPECT_EQ(all_scan, lasp1);  // blocks save bytes' time, not latency
  EXPECT_LT(lasp1, serial);
}

// ---- Softmax layers --------------------------------------------------------

// Both slices of the keys are there after 10 s; ranks attend to one after the
// other.
TEST(OverlapTest, GatheredKeysAreWaitedFor) {
  const std::vector<RankRun> runs =
      RunGang(SoftmaxParallel::kGather, absl::Seconds(10));
  EXPECT_THAT(Seconds(runs, &RankRun::forward_exposed),
              ElementsAre(10, 10, 10));
  EXPECT_THAT(Seconds(runs, &RankRun::forward_end), ElementsAre(16, 16, 16));
}

// Keys of so many heads with 8 numbers in all, over links that take a second
// for 4 of the 8 numbers of the 16 tokens that a rank sends to each of two.
std::vector<RankRun> RunSlices(int64_t key_heads) {
  ModelSpec spec = SmallSpec(LinearMixer::kBasic, "N");
  spec.softmax.key_heads = key_heads;
  spec.softmax.head_dim = 8 / key_heads;
  constexpr double kBytesPerSecond = 16 * (2 * 4) * sizeof(double);
  return RunCase(MakeGangCase(spec, 1, 48),
                 {absl::ZeroDuration(), kBytesPerSecond});
}

// Whole, the last message of keys arrives after 4 s. In two slices the first
// one has after 2 s, and the second comes while ranks attend to the first for
// 3 s. The same backward, where attention to the first slice is not waited for.
TEST(OverlapTest, ASliceComesWhileRanksAttendToTheOneBefore) {
  const std::vector<RankRun> whole = RunSlices(1);
  EXPECT_THAT(Seconds(whole, &RankRun::forward_exposed), ElementsAre(4, 4, 4));
  EXPECT_THAT(Seconds(whole, &RankRun::backward_exposed), ElementsAre(4, 4, 4));
  const std::vector<RankRun> sliced = RunSlices(2);
  EXPECT_THAT(Seconds(sliced, &RankRun::forward_exposed), ElementsAre(2, 2, 2));
  EXPECT_THAT(Seconds(sliced, &RankRun::forward_end), ElementsAre(8, 8, 8));
  EXPECT_THAT(Seconds(sliced, &RankRun::backward_exposed),
              ElementsAre(2, 2, 2));
}

// Rank r attends to r + 1 shards for 3 s each while the next is on its way;
// nothing comes from the ranks behind it.
TEST(OverlapTest, KeysGoRoundWhileRanksAttend) {
  const std::vector<RankRun> slow =
      RunGang(SoftmaxParallel::kRing, absl::Seconds(10));
  EXPECT_THAT(Seconds(slow, &RankRun::forward_exposed),
              ElementsAre(0, 7, 7 + 7));
  EXPECT_THAT(Seconds(slow, &RankRun::forward_end), ElementsAre(3, 13, 23));
  const std::vector<RankRun> fast =
      RunGang(SoftmaxParallel::kRing, absl::Seconds(2));
  EXPECT_THAT(Seconds(fast, &RankRun::forward_exposed), ElementsAre(0, 0, 0));
  EXPECT_THAT(Seconds(fast, &RankRun::forward_end), ElementsAre(3, 6, 9));
}

}  // namespace
}  // namespace longspan::testing
