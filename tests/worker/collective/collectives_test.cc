// Values and counters of every collective, for every kind of group and one to
// four ranks.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/random.h"
#include "common/base/status_macros.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/worker/collective/group_worlds.h"
#include "worker/collective/all_reduce_plan.h"

namespace longspan::worker {
namespace {

using kernels::ConstTensorView;
using kernels::DType;
using kernels::TensorView;
using ::testing::HasSubstr;

constexpr TrafficTag kTag = {Traffic::kStateExchange, Direction::kForward, 2};

TensorView View(std::vector<float>& values) {
  return TensorView(values.data(), DType::kF32,
                    {static_cast<int64_t>(values.size())});
}

// Element i of what rank r holds; float sums of these depend on their order.
float Value(int rank, int64_t i) {
  return std::ldexp(1.0f + 0.37f * static_cast<float>((i * 7 + rank) % 23),
                    (rank * 5 + static_cast<int>(i)) % 19 - 9);
}

std::vector<float> Values(int rank, int64_t count) {
  std::vector<float> values(count);
  for (int64_t i = 0; i < count; ++i) values[i] = Value(rank, i);
  return values;
}

float SumInRankOrder(int size, int64_t i) {
  float sum = Value(0, i);
  for (int r = 1; r < size; ++r) sum += Value(r, i);
  return sum;
}

absl::Status Expect(bool condition, const std::string& what) {
  if (condition) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("expected ", what));
}

class CollectivesTest
    : public ::testing::TestWithParam<std::tuple<GroupKind, int>> {
 protected:
  int size() const { return std::get<1>(GetParam()); }

  void RunOnAllRanks(const std::function<absl::Status(ProcessGroup&)>& body) {
    const auto statuses =
        OnAllRanks(MakeGroups(std::get<0>(GetParam()), size()), body);
    for (size_t rank = 0; rank < statuses.size(); ++rank) {
      EXPECT_TRUE(statuses[rank].ok())
          << "rank " << rank << ": " << statuses[rank];
    }
  }
};

absl::Status GatherAndCompare(ProcessGroup& group,
                              const std::vector<int64_t>& counts) {
  std::vector<float> send = Values(group.rank(), counts[group.rank()]);
  std::vector<std::vector<float>> parts;
  for (int64_t count : counts) parts.emplace_back(count, -1.0f);
  std::vector<TensorView> receive;
  for (std::vector<float>& part : parts) receive.push_back(View(part));
  RETURN_IF_ERROR(group.AllGather(View(send), receive, kTag)->Wait());
  for (int r = 0; r < group.size(); ++r) {
    RETURN_IF_ERROR(
        Expect(parts[r] == Values(r, counts[r]), absl::StrCat("part ", r)));
  }
  return absl::OkStatus();
}

TEST_P(CollectivesTest, AllGatherOfEqualUnevenAndEmptyParts) {
  RunOnAllRanks([](ProcessGroup& group) -> absl::Status {
    std::vector<int64_t> even, uneven, empty;
    for (int r = 0; r < group.size(); ++r) {
      even.push_back(1000);
      uneven.push_back(1 + 4999 * r);
      empty.push_back(r % 2 == 0 ? 0 : 17);
    }
    RETURN_IF_ERROR(GatherAndCompare(group, even));
    RETURN_IF_ERROR(GatherAndCompare(group, uneven));
    RETURN_IF_ERROR(GatherAndCompare(group, empty));
    return GatherAndCompare(group, std::vector<int64_t>(group.size(), 0));
  });
}

TEST_P(CollectivesTest, LargeMessagesFollowSmallOnes) {
  RunOnAllRanks([](ProcessGroup& group) -> absl::Status {
    // 2 MB from the odd ranks, a few bytes from the others, twice in flight.
    std::vector<int64_t> counts, swapped;
    for (int r = 0; r < group.size(); ++r) {
      counts.push_back(r % 2 == 1 ? 500000 : 10 + r);
      swapped.push_back(r % 2 == 0 ? 300000 : 10 + r);
    }
    RETURN_IF_ERROR(GatherAndCompare(group, counts));
    return GatherAndCompare(group, swapped);
  });
}

TEST_P(CollectivesTest, AllGatherInPlace) {
  RunOnAllRanks([](ProcessGroup& group) -> absl::Status {
    std::vector<float> all(100 * group.size());
    std::vector<TensorView> receive;
    for (int r = 0; r < group.size(); ++r) {
      receive.push_back(View(all).Slice(0, 100 * r, 100 * (r + 1)));
    }
    const std::vector<float> own = Values(group.rank(), 100);
    std::copy(own.begin(), own.end(), all.begin() + 100 * group.rank());
    RETURN_IF_ERROR(
        group.AllGather(receive[group.rank()], receive, kTag)->Wait());
    for (int i = 0; i < 100 * group.size(); ++i) {
      RETURN_IF_ERROR(
          Expect(all[i] == Value(i / 100, i % 100), absl::StrCat("all ", i)));
    }
    return absl::OkStatus();
  });
}

// What rank `from` sends to rank `to`.
std::vector<float> Parcel(int from, int to, int64_t count) {
  return Values(100 * from + to, count);
}

// counts[from][to].
using ParcelCounts = std::vector<std::vector<int64_t>>;

ParcelCounts CountsOf(int size,
                      const std::function<int64_t(int from, int to)>& count) {
  ParcelCounts counts(size, std::vector<int64_t>(size));
  for (int from = 0; from < size; ++from) {
    for (int to = 0; to < size; ++to) counts[from][to] = count(from, to);
  }
  return counts;
}

// In place, own parts stay where they are.
absl::Status ExchangeAndCompare(ProcessGroup& group, const ParcelCounts& counts,
                                bool in_place = false) {
  const int own = group.rank();
  std::vector<std::vector<float>> sent, received;
  std::vector<ConstTensorView> send;
  std::vector<TensorView> receive;
  for (int r = 0; r < group.size(); ++r) {
    sent.push_back(Parcel(own, r, counts[own][r]));
    received.emplace_back(counts[r][own], -1.0f);
  }
  for (int r = 0; r < group.size(); ++r) {
    send.push_back(View(sent[r]));
    receive.push_back(View(in_place && r == own ? sent[r] : received[r]));
  }
  RETURN_IF_ERROR(group.AllToAll(send, receive, kTag)->Wait());
  for (int r = 0; r < group.size(); ++r) {
    const std::vector<float>& got =
        in_place && r == own ? sent[r] : received[r];
    RETURN_IF_ERROR(Expect(got == Parcel(r, own, counts[r][own]),
                           absl::StrCat("the parcel of ", r)));
    RETURN_IF_ERROR(Expect(sent[r] == Parcel(own, r, counts[own][r]),
                           "what was sent untouched"));
  }
  return absl::OkStatus();
}

TEST_P(CollectivesTest, AllToAllOfEqualUnevenAndEmptyParcels) {
  RunOnAllRanks([](ProcessGroup& group) -> absl::Status {
    const int size = group.size();
    const ParcelCounts uneven = CountsOf(
        size, [](int from, int to) { return 3 + 997 * from + 61 * to; });
    RETURN_IF_ERROR(ExchangeAndCompare(
        group, CountsOf(size, [](int, int) { return 100; })));
    RETURN_IF_ERROR(ExchangeAndCompare(group, uneven));
    RETURN_IF_ERROR(ExchangeAndCompare(group, uneven, /*in_place=*/true));
    // Nothing on some ways, nothing from rank 0, nothing at all.
    RETURN_IF_ERROR(
        ExchangeAndCompare(group, CountsOf(size, [](int from, int to) {
                             return (from + 2 * to) % 3 == 0 ? 0 : 17;
                           })));
    RETURN_IF_ERROR(ExchangeAndCompare(
        group, CountsOf(size, [](int from, int) { return 5 * from; })));
    return ExchangeAndCompare(group,
                              CountsOf(size, [](int, int) { return 0; }));
  });
}

// More than the transport takes at once, from everybody to everybody.
TEST_P(CollectivesTest, AllToAllOfLargeParcels) {
  RunOnAllRanks([](ProcessGroup& group) -> absl::Status {
    return ExchangeAndCompare(group,
                              CountsOf(group.size(), [](int from, int to) {
                                return (from + to) % 2 == 0 ? 200000 : 400000;
                              }));
  });
}

TEST_P(CollectivesTest, AllToAllCountsWhatGoesToOthers) {
  RunOnAllRanks([](ProcessGroup& group) -> absl::Status {
    const int own = group.rank();
    const ParcelCounts counts =
        CountsOf(group.size(), [](int from, int to) { return 7 * from + to; });
    int64_t sent = 0, received = 0;
    for (int r = 0; r < group.size(); ++r) {
      if (r == own) continue;
      sent += counts[own][r] * 4;
      received += counts[r][own] * 4;
    }
    RETURN_IF_ERROR(ExchangeAndCompare(group, counts));
    const TransferCounts counted = group.counters()[kTag];
    RETURN_IF_ERROR(Expect(counted.launches == 1, "one launch"));
    RETURN_IF_ERROR(Expect(counted.bytes_sent == sent, "sent"));
    return Expect(counted.bytes_received == received, "received");
  });
}

TEST_P(CollectivesTest, ReduceScatterAddsInRankOrder) {
  RunOnAllRanks([](ProcessGroup& group) -> absl::Status {
    // Rank r receives the sum of everybody's first 501 + r elements.
    std::vector<std::vector<float>> parts;
    for (int r = 0; r < group.size(); ++r) {
      parts.push_back(Values(group.rank(), 501 + r));
    }
    std::vector<ConstTensorView> send;
    for (std::vector<float>& part : parts) send.push_back(View(part));
    std::vector<float> sum(501 + group.rank());
    RETURN_IF_ERROR(group.ReduceScatter(send, View(sum), kTag)->Wait());
    for (size_t i = 0; i < sum.size(); ++i) {
      RETURN_IF_ERROR(Expect(sum[i] == SumInRankOrder(group.size(), i),
                             absl::StrCat("sum ", i)));
    }
    return absl::OkStatus();
  });
}

absl::Status SumAndCompare(ProcessGroup& group, int64_t count) {
  std::vector<float> values = Values(group.rank(), count);
  RETURN_IF_ERROR(group.AllReduce(View(values), Reduction::kSum, kTag)->Wait());
  for (int64_t i = 0; i < count; ++i) {
    RETURN_IF_ERROR(Expect(values[i] == SumInRankOrder(group.size(), i),
                           absl::StrCat("sum ", i, " of ", count)));
  }
  return absl::OkStatus();
}

TEST_P(CollectivesTest, AllReduceAddsInRankOrderWholeAndSplit) {
  RunOnAllRanks([](ProcessGroup& group) -> absl::Status {
    constexpr int64_t kWhole = kWholeAllReduceBytes / sizeof(float);
    for (const int64_t count : {int64_t{0}, int64_t{1}, int64_t{3}, kWhole,
                                kWhole + 1, 3 * kWhole + 5}) {
      RETURN_IF_ERROR(SumAndCompare(group, count));
    }
    return absl::OkStatus();
  });
}

TEST_P(CollectivesTest, AllReduceOfMaximumAndOtherTypes) {
  RunOnAllRanks([](ProcessGroup& group) -> absl::Status {
    int64_t values[2] = {group.rank(), -group.rank()};
    const TensorView view(values, DType::kI64, {2});
    RETURN_IF_ERROR(group.AllReduce(view, Reduction::kMax, kTag)->Wait());
    RETURN_IF_ERROR(
        Expect(values[0] == group.size() - 1 && values[1] == 0, "the largest"));
    double number = 0.5 * group.rank();
    const TensorView one(&number, DType::kF64, {1});
    RETURN_IF_ERROR(group.AllReduce(one, Reduction::kSum, kTag)->Wait());
    return Expect(number == 0.25 * group.size() * (group.size() - 1),
                  "the sum of halves");
  });
}

TEST_P(CollectivesTest, SendReceivePassesHalosToTheRight) {
  RunOnAllRanks([](ProcessGroup& group) -> absl::Status {
    const int rank = group.rank();
    std::vector<float> send = Values(rank, 64);
    std::vector<float> receive(64, -1.0f);
    const bool last = rank + 1 == group.size();
    const TensorView none;
    auto work =
        group.SendReceive(last ? none : View(send), rank + 1,
                          rank == 0 ? none : View(receive), rank - 1, kTag);
    RETURN_IF_ERROR(work->Wait());
    if (rank == 0) return Expect(receive[5] == -1.0f, "nothing received");
    return Expect(receive == Values(rank - 1, 64), "the left neighbour's");
  });
}

TEST_P(CollectivesTest, WorksMayBeWaitedForInAnyOrder) {
  RunOnAllRanks([](ProcessGroup& group) -> absl::Status {
    constexpr int64_t kCount = 40000;  // split into two rounds from 3 ranks on
    std::vector<std::vector<float>> buffers;
    for (int k = 0; k < 6; ++k) buffers.push_back(Values(group.rank(), kCount));
    std::vector<std::unique_ptr<Work>> works;
    for (std::vector<float>& buffer : buffers) {
      works.push_back(group.AllReduce(View(buffer), Reduction::kSum, kTag));
    }
    // Even ranks go forward, odd ranks backward.
    for (int k = 0; k < 6; ++k) {
      RETURN_IF_ERROR(works[group.rank() % 2 == 0 ? k : 5 - k]->Wait());
    }
    for (const std::vector<float>& buffer : buffers) {
      RETURN_IF_ERROR(
          Expect(buffer[kCount - 1] == SumInRankOrder(group.size(), kCount - 1),
                 "last element"));
    }
    return absl::OkStatus();
  });
}

TEST_P(CollectivesTest, AHundredRandomCollectives) {
  RunOnAllRanks([](ProcessGroup& group) -> absl::Status {
    for (uint32_t k = 0; k < 100; ++k) {
      const RandomKey key{7, RandomPurpose::kTest, k};
      const int64_t largest = 1 + RandomBelow(key, 0, 20000);
      std::vector<int64_t> counts;
      for (int r = 0; r < group.size(); ++r) {
        counts.push_back(RandomBelow(key, r + 2, largest));
      }
      const uint64_t kind = RandomBelow(key, 1, 4);
      if (kind == 0) RETURN_IF_ERROR(GatherAndCompare(group, counts));
      if (kind == 1) RETURN_IF_ERROR(SumAndCompare(group, counts[0]));
      if (kind == 2) RETURN_IF_ERROR(group.Barrier());
      if (kind == 3) {
        RETURN_IF_ERROR(ExchangeAndCompare(
            group, CountsOf(group.size(), [&](int from, int to) {
              return RandomBelow(key, 10 + 8 * from + to, largest);
            })));
      }
    }
    return absl::OkStatus();
  });
}

TEST_P(CollectivesTest, CountersFollowTheFormula) {
  RunOnAllRanks([](ProcessGroup& group) -> absl::Status {
    const int others = group.size() - 1;
    std::vector<int64_t> counts;
    int64_t total = 0;
    for (int r = 0; r < group.size(); ++r) total += counts.emplace_back(r * 9);
    RETURN_IF_ERROR(GatherAndCompare(group, counts));
    const int64_t own = counts[group.rank()];
    TransferCounts counted = group.counters()[kTag];
    RETURN_IF_ERROR(Expect(counted.launches == 1, "one launch"));
    RETURN_IF_ERROR(Expect(counted.bytes_sent == others * own * 4, "sent"));
    RETURN_IF_ERROR(
        Expect(counted.bytes_received == (total - own) * 4, "received"));
    for (const int64_t count : {int64_t{100}, int64_t{50001}}) {
      const int64_t before = group.counters()[kTag].bytes_sent;
      RETURN_IF_ERROR(SumAndCompare(group, count));
      const int64_t sent = group.counters()[kTag].bytes_sent - before;
      RETURN_IF_ERROR(Expect(
          sent == AllReduceBytesSent(count, 4, group.rank(), group.size()),
          absl::StrCat("sent by a sum of ", count)));
    }
    return absl::OkStatus();
  });
}

TEST_P(CollectivesTest, EveryCallHasAnExposedTime) {
  RunOnAllRanks([](ProcessGroup& group) -> absl::Status {
    RETURN_IF_ERROR(GatherAndCompare(
        group, std::vector<int64_t>(group.size(), int64_t{5})));
    const TransferCounts counted = group.counters()[kTag];
    RETURN_IF_ERROR(Expect(counted.exposed_time.has_value(), "it is known"));
    return Expect(*counted.exposed_time >= absl::ZeroDuration(),
                  "not negative");
  });
}

TEST_P(CollectivesTest, BadArgumentsAreRefusedAndHarmless) {
  RunOnAllRanks([](ProcessGroup& group) -> absl::Status {
    std::vector<float> values(8);
    const std::vector<TensorView> many(group.size() + 1, View(values));
    const absl::Status count =
        group.AllGather(View(values), many, kTag)->Wait();
    EXPECT_EQ(count.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(count.message()), HasSubstr("one per rank"));
    const absl::Status parcels =
        group
            .AllToAll(std::vector<ConstTensorView>(many.begin(), many.end()),
                      many, kTag)
            ->Wait();
    EXPECT_EQ(parcels.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(parcels.message()), HasSubstr("one per rank"));
    const std::vector<ConstTensorView> whole(group.size(), View(values));
    const std::vector<TensorView> half(group.size(),
                                       View(values).Slice(0, 0, 4));
    EXPECT_THAT(
        std::string(group.AllToAll(whole, half, kTag)->Wait().message()),
        HasSubstr("own part"));
    uint8_t byte = 0;
    const TensorView bytes(&byte, DType::kU8, {1});
    const absl::Status dtype =
        group.AllReduce(bytes, Reduction::kSum, kTag)->Wait();
    EXPECT_THAT(std::string(dtype.message()), HasSubstr("f32, f64 or i64"));
    const absl::Status self =
        group.SendReceive(View(values), group.rank(), {}, -1, kTag)->Wait();
    EXPECT_EQ(self.code(), absl::StatusCode::kInvalidArgument);
    return group.Barrier();
  });
}

INSTANTIATE_TEST_SUITE_P(
    Groups, CollectivesTest,
    ::testing::Combine(::testing::Values(GroupKind::kThread, GroupKind::kGloo,
                                         GroupKind::kGlooTcp),
                       ::testing::Values(1, 2, 3, 4)),
    [](const auto& info) {
      return absl::StrCat(GroupKindName(std::get<0>(info.param)), "Of",
                          std::get<1>(info.param));
    });

}  // namespace
}  // namespace longspan::worker
