#include "worker/parallel/state_exchange.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <thread>
#include <vector>

#include "common/base/status_macros.h"
#include "gtest/gtest.h"
#include "tests/support/thread_world.h"
#include "tests/worker/parallel/parallel_rank.h"

namespace longspan::testing {
namespace {

using kernels::ConstTensorView;
using kernels::DType;
using kernels::TensorView;
using worker::Direction;
using worker::MemoryShape;
using worker::MemorySummary;

// Three heads, so that All-Scan has three blocks.
constexpr MemoryShape kShape = {1, 3, 2, 3};
constexpr int64_t kHead = 6;
constexpr int64_t kState = 3 * kHead;

constexpr SequenceParallel kMethods[] = {
    SequenceParallel::kLasp2, SequenceParallel::kLasp1,
    SequenceParallel::kLasp1Serial, SequenceParallel::kAllScan,
    SequenceParallel::kScan};

// What rank r brings for a head.
MemorySummary SummaryOf(int rank, int64_t head) {
  MemorySummary summary;
  summary.log_decay = -0.1 * (rank + 1) - 0.3 * static_cast<double>(head);
  for (int64_t i = 0; i < kHead; ++i) {
    summary.state.push_back(std::sin(7.0 * rank + 3.0 * head + i));
  }
  return summary;
}

TensorView State(std::vector<double>& values) {
  return TensorView(values.data(), DType::kF64, {1, 3, 2, 3});
}

// Every head's state carried through the summaries of `ranks`, in their order.
std::vector<double> Carry(const std::vector<double>& state,
                          const std::vector<int>& ranks) {
  std::vector<double> carried;
  for (int64_t h = 0; h < 3; ++h) {
    MemorySummary all = {
        0.0, {state.begin() + h * kHead, state.begin() + (h + 1) * kHead}};
    for (int r : ranks) all = Compose(SummaryOf(r, h), all);
    carried.insert(carried.end(), all.state.begin(), all.state.end());
  }
  return carried;
}

std::vector<int> Ranks(int begin, int end) {
  std::vector<int> ranks;
  for (int r = begin; r < end; ++r) ranks.push_back(r);
  return ranks;
}

void ExpectNear(const std::vector<double>& a, const std::vector<double>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-13);
}

// One rank's two passes, and the counters against the plan.
class Exchanged {
 public:
  Exchanged(worker::ProcessGroup& group, SequenceParallel method, bool leaves)
      : rank_(&group, method),
        group_(group),
        leaves_(leaves),
        decays_(3 * (KeepsAllDecays(method) ? group.size() : 1)),
        scratch_(5 * group.size() * (kState + 3)) {}

  absl::Status Forward() {
    for (int64_t i = 0; i < kState; ++i) entering_[i] = 0.5 * i - 1.0;
    worker::StateExchangeOperands operands = Operands(true);
    operands.initial = State(entering_);
    if (leaves_) operands.leaving = State(leaving_);
    RETURN_IF_ERROR(Run(Direction::kForward, operands));
    ExpectNear(state_, Carry(entering_, Ranks(0, group_.rank())));
    if (leaves_) {
      ExpectNear(leaving_, Carry(entering_, Ranks(0, group_.size())));
    }
    return absl::OkStatus();
  }

  absl::Status Backward() {
    RETURN_IF_ERROR(Run(Direction::kBackward, Operands(false)));
    std::vector<int> after = Ranks(group_.rank() + 1, group_.size());
    std::reverse(after.begin(), after.end());
    ExpectNear(state_, Carry(std::vector<double>(kState), after));
    return absl::OkStatus();
  }

  void ExpectPlannedMoves() {
    const auto counters = group_.counters();
    EXPECT_EQ(counters.size(), 2u);
    for (const Direction direction :
         {Direction::kForward, Direction::kBackward}) {
      const auto& counts =
          counters.at({worker::Traffic::kStateExchange, direction, 5});
      const StateMoves moves = PlanStateMoves(
          rank_.context().method, {3, kState, 3, true}, group_.rank(),
          group_.size(), direction == Direction::kForward, leaves_);
      EXPECT_EQ(counts.launches, moves.calls);
      EXPECT_EQ(counts.bytes_sent, 8 * moves.sent);
      EXPECT_EQ(counts.bytes_received, 8 * moves.received);
    }
  }

 private:
  worker::StateExchangeOperands Operands(bool forward) {
    const int64_t rows = static_cast<int64_t>(decays_.size()) / 3;
    const int64_t scratch = StateExchangeScratch(
        rank_.context().method, {3, kState, 3, true}, group_.size(), forward);
    EXPECT_LE(scratch, static_cast<int64_t>(scratch_.size()));
    return {.decays = TensorView(decays_.data(), DType::kF64, {rows, 1, 3}),
            .decays_travel = forward,
            .state = State(state_).Reshape({1, 1, 3, 2, 3}),
            .scratch = TensorView(scratch_.data(), DType::kF64, {scratch})};
  }

  absl::Status Run(Direction direction,
                   const worker::StateExchangeOperands& operands) {
    const auto exchange = worker::CreateStateExchange(
        rank_.context(), 5, direction, kShape, operands);
    RETURN_IF_ERROR(exchange->ReceiveFirst());
    for (int64_t h = 0; h < 3; ++h) {
      const MemorySummary own = SummaryOf(group_.rank(), h);
      std::copy(own.state.begin(), own.state.end(),
                exchange->own_state(0).data_as<double>() + h * kHead);
      if (direction == Direction::kForward) {
        exchange->own_decay(0).data_as<double>()[h] = own.log_decay;
      }
    }
    RETURN_IF_ERROR(exchange->Start());
    return exchange->Finish();
  }

  const ParallelRank rank_;
  worker::ProcessGroup& group_;
  const bool leaves_;
  std::vector<double> decays_, scratch_;
  std::vector<double> entering_ = std::vector<double>(kState);
  std::vector<double> state_ = entering_, leaving_ = entering_;
};

TEST(StateExchangeTest, EveryRankGetsTheStatesOfItsBorders) {
  for (const SequenceParallel method : kMethods) {
    for (int ranks : {2, 3, 5, 8}) {
      for (bool leaves : {false, true}) {
        SCOPED_TRACE(::testing::Message() << SequenceParallelName(method) << " "
                                          << ranks << " " << leaves);
        const absl::Status status = RunThreadWorld(
            ranks, [&](worker::ProcessGroup& group) -> absl::Status {
              Exchanged exchanged(group, method, leaves);
              RETURN_IF_ERROR(exchanged.Forward());
              RETURN_IF_ERROR(exchanged.Backward());
              exchanged.ExpectPlannedMoves();
              return absl::OkStatus();
            });
        EXPECT_TRUE(status.ok()) << status;
      }
    }
  }
}

// Where work between Start and Finish waits for nobody: rank 1 starts only
// after rank 0 has done its own. With lasp1_serial rank 1 waits before it
// works, and rank 0 works before it sends.
TEST(StateExchangeTest, WorkRunsWhileTheExchangeIsOpen) {
  for (const SequenceParallel method :
       {SequenceParallel::kLasp2, SequenceParallel::kLasp1,
        SequenceParallel::kAllScan}) {
    SCOPED_TRACE(SequenceParallelName(method));
    std::atomic<bool> last_worked = false;
    const absl::Status status =
        RunThreadWorld(2, [&](worker::ProcessGroup& group) -> absl::Status {
          const ParallelRank rank(&group, method);
          std::vector<double> decays(6), state(kState), scratch(2 * kState);
          const int64_t rows = KeepsAllDecays(method) ? 2 : 1;
          const auto exchange = worker::CreateStateExchange(
              rank.context(), 0, Direction::kForward, kShape,
              {.decays = TensorView(decays.data(), DType::kF64, {rows, 1, 3}),
               .state = State(state).Reshape({1, 1, 3, 2, 3}),
               .scratch =
                   TensorView(scratch.data(), DType::kF64, {2 * kState})});
          RETURN_IF_ERROR(exchange->ReceiveFirst());
          while (group.rank() == 0 && !last_worked) std::this_thread::yield();
          RETURN_IF_ERROR(exchange->Start());
          if (group.rank() == 1) last_worked = true;
          return exchange->Finish();
        });
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_TRUE(last_worked);
  }
}

// ---- Gathers in bf16, and in several calls ---------------------------------

// S_in and dS_r of one rank, from zero, in f32.
struct GatheredStates {
  std::vector<float> entering = std::vector<float>(kState);
  std::vector<float> d_leaving = std::vector<float>(kState);
};

absl::Status GatherPass(const worker::RankContext& context, Direction direction,
                        std::vector<float>& decays,
                        std::vector<float>& result) {
  const bool forward = direction == Direction::kForward;
  const int64_t count = StateExchangeScratch(
      context.method, {3, kState, 3, true, context.state_gather},
      context.ranks(), forward);
  std::vector<float> scratch(count);
  const auto exchange = worker::CreateStateExchange(
      context, 5, direction, kShape,
      {.decays =
           TensorView(decays.data(), DType::kF32, {context.ranks(), 1, 3}),
       .decays_travel = forward,
       .state = TensorView(result.data(), DType::kF32, {1, 1, 3, 2, 3}),
       .scratch = TensorView(scratch.data(), DType::kF32, {count})});
  RETURN_IF_ERROR(exchange->ReceiveFirst());
  for (int64_t h = 0; h < 3; ++h) {
    const MemorySummary own = SummaryOf(context.rank(), h);
    std::copy(own.state.begin(), own.state.end(),
              exchange->own_state(0).data_as<float>() + h * kHead);
    if (!forward) continue;
    exchange->own_decay(0).data_as<float>()[h] =
        static_cast<float>(own.log_decay);
  }
  RETURN_IF_ERROR(exchange->Start());
  return exchange->Finish();
}

// Of every rank; the bytes and calls of each are the plan's.
std::vector<GatheredStates> GatherStates(int ranks,
                                         const GatherSettings& gather) {
  std::vector<GatheredStates> all(ranks);
  const absl::Status status =
      RunThreadWorld(ranks, [&](worker::ProcessGroup& group) -> absl::Status {
        const ParallelRank rank(&group, SequenceParallel::kLasp2, DType::kF32,
                                gather);
        std::vector<float> decays(3 * ranks);
        GatheredStates& own = all[group.rank()];
        RETURN_IF_ERROR(GatherPass(rank.context(), Direction::kForward, decays,
                                   own.entering));
        RETURN_IF_ERROR(GatherPass(rank.context(), Direction::kBackward, decays,
                                   own.d_leaving));
        for (const auto& [tag, counts] : group.counters()) {
          const int64_t decay =
              tag.direction == Direction::kForward ? 3 * 4 : 0;
          EXPECT_EQ(counts.bytes_sent,
                    (ranks - 1) * (kState * (gather.bf16 ? 2 : 4) + decay));
          EXPECT_EQ(counts.launches, gather.splits);
        }
        return absl::OkStatus();
      });
  EXPECT_TRUE(status.ok()) << status;
  return all;
}

// The fold of |S_ext|.
std::vector<double> FoldSizes(const std::vector<int>& ranks) {
  std::vector<double> sizes(kState);
  for (int rank : ranks) {
    for (int64_t i = 0; i < kState; ++i) {
      const MemorySummary summary = SummaryOf(rank, i / kHead);
      sizes[i] = std::exp(summary.log_decay) * sizes[i] +
                 std::abs(summary.state[i % kHead]);
    }
  }
  return sizes;
}

// Every state that is folded was rounded once, by at most u = 2^-8 of itself,
// and decays do not let it grow: S_in, the fold of S_ext, is off by at most u
// times the fold of |S_ext|; likewise dS_r. Besides, each step of the fold has
// 5 roundings of f32 at most: two of A (which is at most 2), of e^A, of the
// product and of the sum; and the summary one.
void ExpectRoundedOnce(const std::vector<float>& actual,
                       const std::vector<int>& ranks) {
  const std::vector<double> exact = Carry(std::vector<double>(kState), ranks);
  const std::vector<double> sizes = FoldSizes(ranks);
  const double roundings = 5.0 * static_cast<double>(ranks.size()) + 1.0;
  const double unit = std::ldexp(1.0, -8) + std::ldexp(roundings, -24);
  for (int64_t i = 0; i < kState; ++i) {
    EXPECT_LE(std::abs(actual[i] - exact[i]), unit * sizes[i]) << i;
  }
}

TEST(StateGatherTest, Bf16RoundsEveryStateOnce) {
  for (int ranks : {2, 3, 5, 8}) {
    SCOPED_TRACE(ranks);
    const auto wide = GatherStates(ranks, {});
    for (int splits : {1, 4}) {
      const auto narrow = GatherStates(ranks, {.bf16 = true, .splits = splits});
      for (int rank = 0; rank < ranks; ++rank) {
        SCOPED_TRACE(rank);
        std::vector<int> after = Ranks(rank + 1, ranks);
        std::reverse(after.begin(), after.end());
        ExpectRoundedOnce(narrow[rank].entering, Ranks(0, rank));
        ExpectRoundedOnce(narrow[rank].d_leaving, after);
        EXPECT_EQ(narrow[rank].entering == wide[rank].entering, rank == 0);
      }
    }
  }
}

TEST(StateGatherTest, SplitsChangeNoBit) {
  for (int ranks : {2, 5}) {
    const auto whole = GatherStates(ranks, {});
    // More splits than numbers: some are empty.
    for (int splits : {2, 5, 64}) {
      SCOPED_TRACE(splits);
      const auto split = GatherStates(ranks, {.splits = splits});
      for (int rank = 0; rank < ranks; ++rank) {
        EXPECT_EQ(split[rank].entering, whole[rank].entering);
        EXPECT_EQ(split[rank].d_leaving, whole[rank].d_leaving);
      }
    }
  }
}

}  // namespace
}  // namespace longspan::testing
