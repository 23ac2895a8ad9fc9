// Every number here follows from the model in emulated_network_group.h: no
// test looks at the machine's time.
#include <algorithm>
#include <functional>
#include <limits>
#include <vector>

#include "common/base/status_macros.h"
#include "gtest/gtest.h"
#include "tests/support/manual_rank_clock/manual_rank_clock.h"
#include "tests/support/thread_world.h"
#include "tests/worker/collective/group_worlds.h"
#include "worker/collective/all_reduce_plan.h"
#include "worker/collective/emulated_network_group.h"

namespace longspan::testing {
namespace {

using kernels::ConstTensorView;
using kernels::DType;
using kernels::TensorView;
using worker::Direction;
using worker::ProcessGroup;
using worker::Traffic;
using worker::TrafficTag;
using worker::TransferCounts;

constexpr TrafficTag kTag = {Traffic::kStateExchange, Direction::kForward, 3};

// 1 s of latency, and 1 s on the link for each kByte.
constexpr absl::Duration kLatency = absl::Seconds(1);
constexpr double kBytesPerSecond = 1000;

TensorView View(std::vector<float>& values) {
  return TensorView(values.data(), DType::kF32,
                    {static_cast<int64_t>(values.size())});
}

// `seconds` on the link.
std::vector<float> Message(int64_t seconds, float value = 1) {
  return std::vector<float>(250 * seconds, value);
}

using Body =
    std::function<absl::Status(ProcessGroup& group, ManualRankClock& clock)>;

void OnRanks(int ranks, const Body& body) {
  const absl::Status status =
      RunThreadWorld(ranks, [&](ProcessGroup& inner) -> absl::Status {
        ManualRankClock clock;
        const auto group = worker::CreateEmulatedNetworkGroup(
            {kLatency, kBytesPerSecond}, &inner, &clock);
        return body(*group, clock);
      });
  EXPECT_TRUE(status.ok()) << status;
}

TransferCounts Counts(const ProcessGroup& group) {
  return group.counters().at(kTag);
}

// ---- Messages --------------------------------------------------------------

TEST(EmulatedNetworkTest, AMessageTakesLatencyAndBytes) {
  OnRanks(2, [](ProcessGroup& group, ManualRankClock& clock) -> absl::Status {
    std::vector<float> data = Message(3, group.rank() == 0 ? 7 : 0);
    if (group.rank() == 0) {
      clock.Work(absl::Seconds(10));
      const auto work = group.SendReceive(View(data), 1, {}, -1, kTag);
      RETURN_IF_ERROR(work->Wait());
      EXPECT_EQ(clock.now(), absl::Seconds(10));  // the link has a buffer
      return absl::OkStatus();
    }
    const auto work = group.SendReceive({}, -1, View(data), 0, kTag);
    clock.Work(absl::Seconds(4));
    RETURN_IF_ERROR(work->Wait());
    EXPECT_EQ(data[0], 7);
    EXPECT_EQ(clock.now(), absl::Seconds(10 + 3 + 1));
    EXPECT_EQ(Counts(group).exposed_time, absl::Seconds(10));
    EXPECT_EQ(Counts(group).bytes_received, 3000);
    return absl::OkStatus();
  });
}

TEST(EmulatedNetworkTest, ALinkCarriesOneMessageAtATime) {
  OnRanks(2, [](ProcessGroup& group, ManualRankClock& clock) -> absl::Status {
    std::vector<float> first = Message(2), second = Message(5);
    if (group.rank() == 0) {
      const auto a = group.SendReceive(View(first), 1, {}, -1, kTag);
      clock.Work(absl::Seconds(1));
      const auto b = group.SendReceive(View(second), 1, {}, -1, kTag);
      RETURN_IF_ERROR(a->Wait());
      return b->Wait();
    }
    const auto a = group.SendReceive({}, -1, View(first), 0, kTag);
    const auto b = group.SendReceive({}, -1, View(second), 0, kTag);
    RETURN_IF_ERROR(a->Wait());
    EXPECT_EQ(clock.now(), absl::Seconds(2 + 1));
    RETURN_IF_ERROR(b->Wait());
    EXPECT_EQ(clock.now(), absl::Seconds(2 + 5 + 1));
    return absl::OkStatus();
  });
}

TEST(EmulatedNetworkTest, WorkBesideATransferHidesIt) {
  for (const int seconds : {0, 2, 3, 9}) {
    OnRanks(2, [&](ProcessGroup& group, ManualRankClock& clock) {
      std::vector<float> own = Message(2), other = Message(2);
      const int peer = 1 - group.rank();
      const auto work =
          group.SendReceive(View(own), peer, View(other), peer, kTag);
      clock.Work(absl::Seconds(seconds));
      const absl::Status status = work->Wait();
      EXPECT_EQ(clock.now(), absl::Seconds(std::max(seconds, 3)));
      EXPECT_EQ(Counts(group).exposed_time,
                absl::Seconds(std::max(0, 3 - seconds)));
      return status;
    });
  }
}

TEST(EmulatedNetworkTest, ANetworkWithoutLimitsCostsNothing) {
  const absl::Status status =
      RunThreadWorld(3, [](ProcessGroup& inner) -> absl::Status {
        ManualRankClock clock;
        const auto group = worker::CreateEmulatedNetworkGroup(
            {absl::ZeroDuration(), std::numeric_limits<double>::infinity()},
            &inner, &clock);
        RETURN_IF_ERROR(group->Barrier());
        EXPECT_EQ(clock.now(), absl::ZeroDuration());
        return absl::OkStatus();
      });
  EXPECT_TRUE(status.ok()) << status;
}

// ---- Collectives -----------------------------------------------------------

// Rank r starts at r seconds and sends 2 s to r + 1, then to r + 2, ...
TEST(EmulatedNetworkTest, AnAllGatherIsOneMessageToEachInTurn) {
  OnRanks(4, [](ProcessGroup& group, ManualRankClock& clock) -> absl::Status {
    const int rank = group.rank();
    std::vector<float> own = Message(2, static_cast<float>(rank));
    std::vector<std::vector<float>> all(4, Message(2));
    std::vector<TensorView> receive;
    for (std::vector<float>& part : all) receive.push_back(View(part));
    clock.Work(absl::Seconds(rank));
    RETURN_IF_ERROR(group.AllGather(View(own), receive, kTag)->Wait());
    int arrival = 0;
    for (int from = 0; from < 4; ++from) {
      EXPECT_EQ(all[from][0], from);
      const int place = (rank - from + 4) % 4;
      if (from != rank) arrival = std::max(arrival, from + 2 * place + 1);
    }
    EXPECT_EQ(clock.now(), absl::Seconds(arrival));
    EXPECT_EQ(Counts(group).launches, 1);
    EXPECT_EQ(Counts(group).bytes_sent, 3 * 2000);
    EXPECT_EQ(group.counters().size(), 1u);  // without the stamps
    return absl::OkStatus();
  });
}

TEST(EmulatedNetworkTest, WhatIsEmptyIsNotSent) {
  OnRanks(3, [](ProcessGroup& group, ManualRankClock& clock) -> absl::Status {
    const bool last = group.rank() == 2;
    std::vector<float> state = Message(4, last ? 5 : 0);
    const TensorView nothing = View(state).Slice(0, 0, 0);
    const std::vector<TensorView> receive = {nothing, nothing, View(state)};
    RETURN_IF_ERROR(
        group.AllGather(last ? View(state) : nothing, receive, kTag)->Wait());
    EXPECT_EQ(state[0], 5);
    const int arrivals[] = {4 + 1, 8 + 1, 0};
    EXPECT_EQ(clock.now(), absl::Seconds(arrivals[group.rank()]));
    return absl::OkStatus();
  });
}

TEST(EmulatedNetworkTest, AReduceScatterSendsEachItsPart) {
  OnRanks(3, [](ProcessGroup& group, ManualRankClock& clock) -> absl::Status {
    // A part of rank r takes r + 1 seconds.
    std::vector<std::vector<float>> parts = {Message(1), Message(2),
                                             Message(3)};
    std::vector<ConstTensorView> send;
    for (std::vector<float>& part : parts) send.emplace_back(View(part));
    std::vector<float> sum = Message(group.rank() + 1);
    RETURN_IF_ERROR(group.ReduceScatter(send, View(sum), kTag)->Wait());
    EXPECT_EQ(sum[0], 3);
    // To 0: 1 sends 3 s to 2 before; 2 sends to 0 first. To 1: 0 first, 2 sends
    // 1 s before. To 2: 1 first, 0 sends 2 s before.
    const int arrivals[] = {3 + 1 + 1, 1 + 2 + 1, 2 + 3 + 1};
    EXPECT_EQ(clock.now(), absl::Seconds(arrivals[group.rank()]));
    return absl::OkStatus();
  });
}

// Each rank's parcels for the ranks after it take 1, 2 and 3 s.
TEST(EmulatedNetworkTest, AnAllToAllSendsEachItsParcel) {
  OnRanks(4, [](ProcessGroup& group, ManualRankClock& clock) -> absl::Status {
    std::vector<std::vector<float>> out, in;
    for (int r = 0; r < 4; ++r) {
      const int after = (r - group.rank() + 4) % 4;
      out.push_back(Message(after, static_cast<float>(10 * group.rank() + r)));
      in.push_back(Message((group.rank() - r + 4) % 4));
    }
    std::vector<ConstTensorView> send;
    std::vector<TensorView> receive;
    for (std::vector<float>& parcel : out) send.emplace_back(View(parcel));
    for (std::vector<float>& parcel : in) receive.push_back(View(parcel));
    RETURN_IF_ERROR(group.AllToAll(send, receive, kTag)->Wait());
    for (int r = 0; r < 4; ++r) {
      if (r == group.rank()) continue;
      EXPECT_EQ(in[r][0], 10 * r + group.rank());
    }
    EXPECT_EQ(clock.now(), absl::Seconds(1 + 2 + 3 + 1));
    EXPECT_EQ(Counts(group).bytes_sent, 6000);
    return absl::OkStatus();
  });
}

TEST(EmulatedNetworkTest, ASmallAllReduceSendsAllToEveryone) {
  OnRanks(4, [](ProcessGroup& group, ManualRankClock& clock) -> absl::Status {
    std::vector<float> values = Message(2);
    RETURN_IF_ERROR(
        group.AllReduce(View(values), worker::Reduction::kSum, kTag)->Wait());
    EXPECT_EQ(values[0], 4);
    EXPECT_EQ(clock.now(), absl::Seconds(3 * 2 + 1));
    return absl::OkStatus();
  });
}

// 4 parts of 25 s: three on the way to their sums, and the sums' three.
TEST(EmulatedNetworkTest, ALargeAllReduceHasTwoRounds) {
  OnRanks(4, [](ProcessGroup& group, ManualRankClock& clock) -> absl::Status {
    std::vector<float> values = Message(100);
    if (worker::AllReducesWhole(100000, 4)) {
      return absl::InternalError("not large any more");
    }
    if (group.rank() == 1) clock.Work(absl::Seconds(5));
    RETURN_IF_ERROR(
        group.AllReduce(View(values), worker::Reduction::kSum, kTag)->Wait());
    EXPECT_EQ(values[0], 4);
    // Rank 1's parts leave 5 s late: the last, to rank 0, is there at 81 s, and
    // its link is free at 80 s. Elsewhere the parts are there at 76 s.
    const int begin[] = {81, 80, 76, 76};
    int last = 0;
    for (int from = 0; from < 4; ++from) {
      const int place = (group.rank() - from + 4) % 4;
      if (from != group.rank())
        last = std::max(last, begin[from] + 25 * place + 1);
    }
    EXPECT_EQ(clock.now(), absl::Seconds(last));
    return absl::OkStatus();
  });
}

TEST(EmulatedNetworkTest, BadArgumentsAreTheInnerGroups) {
  OnRanks(2, [](ProcessGroup& group, ManualRankClock&) -> absl::Status {
    std::vector<float> values = Message(1);
    EXPECT_EQ(group.AllGather(View(values), {}, kTag)->Wait().code(),
              absl::StatusCode::kInvalidArgument);
    return group.Barrier();
  });
}

// ---- Around every kind of group, by every kind of clock -------------------

// Late or early, no message passes another one's stamp.
TEST(EmulatedNetworkTest, WorksMayBeWaitedForInAnyOrder) {
  for (const auto kind : {worker::GroupKind::kThread, worker::GroupKind::kGloo,
                          worker::GroupKind::kGlooTcp}) {
    SCOPED_TRACE(worker::GroupKindName(kind));
    const auto statuses = worker::OnAllRanks(
        worker::MakeGroups(kind, 3), [](ProcessGroup& inner) -> absl::Status {
          ManualRankClock clock;
          const auto group = worker::CreateEmulatedNetworkGroup(
              {kLatency, kBytesPerSecond}, &inner, &clock);
          std::vector<float> large = Message(100), small = Message(1);
          const auto a =
              group->AllReduce(View(large), worker::Reduction::kSum, kTag);
          const auto b =
              group->AllReduce(View(small), worker::Reduction::kSum, kTag);
          const bool reversed = group->rank() == 1;
          RETURN_IF_ERROR((reversed ? b : a)->Wait());
          RETURN_IF_ERROR((reversed ? a : b)->Wait());
          EXPECT_EQ(large[0], 3);
          EXPECT_EQ(small[0], 3);
          const TransferCounts outer = Counts(*group);
          EXPECT_EQ(outer.bytes_sent, Counts(inner).bytes_sent);
          EXPECT_EQ(outer.launches, 2);
          EXPECT_EQ(outer.exposed_time, clock.now());
          return absl::OkStatus();
        });
    for (const absl::Status& status : statuses) EXPECT_TRUE(status.ok());
  }
}

TEST(EmulatedNetworkTest, ByTheWallClockAMessageIsNotEarly) {
  const absl::Duration latency = absl::Milliseconds(5);
  const absl::Status status =
      RunThreadWorld(2, [&](ProcessGroup& inner) -> absl::Status {
        worker::WallRankClock clock;
        const auto group =
            worker::CreateEmulatedNetworkGroup({latency, 1e9}, &inner, &clock);
        std::vector<float> data = Message(1);
        const bool first = group->rank() == 0;
        const absl::Duration begin = clock.Stop();
        for (const bool ask : {true, false}) {  // there, and back
          const auto work =
              ask == first ? group->SendReceive(View(data), 1 - group->rank(),
                                                {}, -1, kTag)
                           : group->SendReceive({}, -1, View(data),
                                                1 - group->rank(), kTag);
          RETURN_IF_ERROR(work->Wait());
        }
        const absl::Duration passed = clock.Stop() - begin;
        EXPECT_GE(passed, first ? 2 * latency : absl::ZeroDuration());
        return absl::OkStatus();
      });
  EXPECT_TRUE(status.ok()) << status;
}

}  // namespace
}  // namespace longspan::testing
