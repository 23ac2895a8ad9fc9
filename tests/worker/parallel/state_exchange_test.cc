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

using kernels::DType;
using kernels::TensorView;
using worker::Direction;
using worker::MemoryShape;
using worker::MemorySummary;

constexpr MemoryShape kShape = {1, 1, 2, 3};
constexpr int64_t kState = 6;

// What rank r brings.
MemorySummary SummaryOf(int rank) {
  MemorySummary summary;
  summary.log_decay = -0.1 * (rank + 1);
  for (int64_t i = 0; i < kState; ++i) {
    summary.state.push_back(std::sin(7.0 * rank + i));
  }
  return summary;
}

// A state carried through ranks [begin, end).
std::vector<double> Carry(std::vector<double> state, int begin, int end) {
  MemorySummary all = {0.0, std::move(state)};
  for (int r = begin; r < end; ++r) all = Compose(SummaryOf(r), all);
  return all.state;
}

std::vector<double> Reverse(int begin, int end) {
  MemorySummary all = {0.0, std::vector<double>(kState)};
  for (int r = end; r-- > begin;) all = Compose(SummaryOf(r), all);
  return all.state;
}

void ExpectNear(const std::vector<double>& a, const std::vector<double>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-13);
}

absl::Status ExchangeForward(worker::ProcessGroup& group) {
  const ParallelRank rank(&group);
  const int ranks = group.size();
  std::vector<double> rows(ranks * (kState + 1));
  worker::StateExchange exchange(
      rank.context(), 5, kShape,
      TensorView(rows.data(), DType::kF64, {ranks, kState + 1}));
  const MemorySummary own = SummaryOf(group.rank());
  std::copy(own.state.begin(), own.state.end(),
            exchange.own_state().data_as<double>());
  exchange.own_decay().data_as<double>()[0] = own.log_decay;
  RETURN_IF_ERROR(exchange.Start(Direction::kForward));
  RETURN_IF_ERROR(exchange.Wait());

  std::vector<double> decays(ranks), entering = {1, 2, 3, 4, 5, 6};
  const TensorView decay_view(decays.data(), DType::kF64, {ranks, 1, 1});
  RETURN_IF_ERROR(exchange.KeepDecays(decay_view));
  std::vector<double> state(kState);
  const TensorView out(state.data(), DType::kF64, {1, 1, 2, 3});
  const TensorView in(entering.data(), DType::kF64, {1, 1, 2, 3});
  RETURN_IF_ERROR(exchange.FoldBefore(decay_view, in, out));
  ExpectNear(state, Carry(entering, 0, group.rank()));
  RETURN_IF_ERROR(exchange.FoldBefore(decay_view, TensorView(), out));
  ExpectNear(state, Carry(std::vector<double>(kState), 0, group.rank()));
  RETURN_IF_ERROR(exchange.FoldAll(decay_view, in, out));
  ExpectNear(state, Carry(entering, 0, ranks));
  RETURN_IF_ERROR(exchange.FoldAfter(decay_view, out));
  ExpectNear(state, Reverse(group.rank() + 1, ranks));

  const auto counters = group.counters();
  EXPECT_EQ(counters.size(), 1u);
  const auto& counts =
      counters.at({worker::Traffic::kStateExchange, Direction::kForward, 5});
  EXPECT_EQ(counts.launches, 1);
  EXPECT_EQ(counts.bytes_sent, (ranks - 1) * (kState + 1) * 8);
  return absl::OkStatus();
}

TEST(StateExchangeTest, EveryRankGetsTheStateThatEntersIt) {
  for (int ranks : {2, 3, 5, 8}) {
    const absl::Status status = RunThreadWorld(ranks, ExchangeForward);
    EXPECT_TRUE(status.ok()) << status;
  }
}

// Work between Start and Wait does not wait for other ranks: rank 1 starts
// only after rank 0 has done its own.
TEST(StateExchangeTest, WorkRunsWhileTheExchangeIsOpen) {
  std::atomic<bool> rank0_worked = false;
  const absl::Status status =
      RunThreadWorld(2, [&](worker::ProcessGroup& group) -> absl::Status {
        const ParallelRank rank(&group);
        std::vector<double> rows(2 * kState);
        worker::StateExchange exchange(
            rank.context(), 0, kShape,
            TensorView(rows.data(), DType::kF64, {2, kState}));
        while (group.rank() == 1 && !rank0_worked) std::this_thread::yield();
        RETURN_IF_ERROR(exchange.Start(Direction::kForward));
        if (group.rank() == 0) rank0_worked = true;
        return exchange.Wait();
      });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_TRUE(rank0_worked);
}

}  // namespace
}  // namespace longspan::testing
