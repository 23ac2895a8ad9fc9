// Values and counters of the NCCL group's collectives, bitwise those of the
// thread group, on streams that run later.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/queued_device/queued_stream.h"
#include "tests/worker/collective/nccl_world.h"
#include "worker/collective/all_reduce_plan.h"
#include "worker/collective/nccl_group.h"

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

// Sums of these depend on their order.
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

// Fills `to` when the stream gets there: a collective that does not wait for
// the stream sends what was there before.
void FillLater(NcclRank& rank, std::vector<float>& to,
               const std::vector<float>& values) {
  auto& stream = static_cast<testing::QueuedStream&>(*rank.stream);
  stream.Submit([&to, values] {
    absl::SleepFor(absl::Milliseconds(1));
    std::copy(values.begin(), values.end(), to.begin());
    return absl::OkStatus();
  });
}

class NcclCollectivesTest : public ::testing::TestWithParam<int> {
 protected:
  void RunOnAllRanks(const std::function<absl::Status(NcclRank&)>& body) {
    const auto statuses = OnNcclRanks(GetParam(), "", body);
    for (size_t rank = 0; rank < statuses.size(); ++rank) {
      EXPECT_TRUE(statuses[rank].ok())
          << "rank " << rank << ": " << statuses[rank];
    }
  }
};

// Rows lie side by side, or apart.
absl::Status GatherAndCompare(NcclRank& rank,
                              const std::vector<int64_t>& counts, bool apart) {
  ProcessGroup& group = *rank.group;
  std::vector<float> send(counts[group.rank()], -3.0f);
  FillLater(rank, send, Values(group.rank(), counts[group.rank()]));
  int64_t total = 0;
  for (const int64_t count : counts) total += count + (apart ? 8 : 0);
  std::vector<float> all(total, -1.0f);
  std::vector<TensorView> receive;
  int64_t begin = 0;
  for (const int64_t count : counts) {
    receive.push_back(View(all).Slice(0, begin, begin + count));
    begin += count + (apart ? 8 : 0);
  }
  RETURN_IF_ERROR(rank.Finish(
      group.AllGather(View(send), receive, kTag, rank.stream.get())));
  for (int r = 0; r < group.size(); ++r) {
    const float* row = static_cast<const float*>(receive[r].data());
    const std::vector<float> part(row, row + counts[r]);
    RETURN_IF_ERROR(
        Expect(part == Values(r, counts[r]), absl::StrCat("part ", r)));
  }
  return Expect(!apart || all.back() == -1.0f, "nothing between rows");
}

TEST_P(NcclCollectivesTest, AllGatherOfEqualUnevenAndEmptyParts) {
  RunOnAllRanks([](NcclRank& rank) -> absl::Status {
    std::vector<int64_t> even, uneven, empty;
    for (int r = 0; r < rank.group->size(); ++r) {
      even.push_back(1000);
      uneven.push_back(1 + 4999 * r);
      empty.push_back(r % 2 == 0 ? 0 : 17);
    }
    for (const bool apart : {false, true}) {
      RETURN_IF_ERROR(GatherAndCompare(rank, even, apart));
      RETURN_IF_ERROR(GatherAndCompare(rank, uneven, apart));
      RETURN_IF_ERROR(GatherAndCompare(rank, empty, apart));
    }
    return GatherAndCompare(rank, std::vector<int64_t>(rank.group->size(), 0),
                            false);
  });
}

TEST_P(NcclCollectivesTest, AllGatherInPlace) {
  RunOnAllRanks([](NcclRank& rank) -> absl::Status {
    ProcessGroup& group = *rank.group;
    std::vector<float> all(100 * group.size());
    std::vector<TensorView> receive;
    for (int r = 0; r < group.size(); ++r) {
      receive.push_back(View(all).Slice(0, 100 * r, 100 * (r + 1)));
    }
    const std::vector<float> own = Values(group.rank(), 100);
    std::copy(own.begin(), own.end(), all.begin() + 100 * group.rank());
    RETURN_IF_ERROR(rank.Finish(group.AllGather(receive[group.rank()], receive,
                                                kTag, rank.stream.get())));
    for (int i = 0; i < 100 * group.size(); ++i) {
      RETURN_IF_ERROR(
          Expect(all[i] == Value(i / 100, i % 100), absl::StrCat("all ", i)));
    }
    return absl::OkStatus();
  });
}

absl::Status ExchangeAndCompare(NcclRank& rank, int64_t per_source,
                                int64_t per_destination) {
  ProcessGroup& group = *rank.group;
  const int own = group.rank();
  const auto count = [=](int from, int to) {
    return per_source * from + per_destination * to;
  };
  std::vector<std::vector<float>> sent, received;
  for (int r = 0; r < group.size(); ++r) {
    sent.emplace_back(count(own, r), -3.0f);
    received.emplace_back(count(r, own), -1.0f);
  }
  std::vector<ConstTensorView> send;
  std::vector<TensorView> receive;
  for (int r = 0; r < group.size(); ++r) {
    FillLater(rank, sent[r], Values(10 * own + r, count(own, r)));
    send.push_back(View(sent[r]));
    receive.push_back(View(received[r]));
  }
  RETURN_IF_ERROR(
      rank.Finish(group.AllToAll(send, receive, kTag, rank.stream.get())));
  for (int r = 0; r < group.size(); ++r) {
    RETURN_IF_ERROR(Expect(received[r] == Values(10 * r + own, count(r, own)),
                           absl::StrCat("the parcel of ", r)));
  }
  return absl::OkStatus();
}

TEST_P(NcclCollectivesTest, AllToAllOfUnevenAndEmptyParcels) {
  RunOnAllRanks([](NcclRank& rank) -> absl::Status {
    RETURN_IF_ERROR(ExchangeAndCompare(rank, 1000, 61));
    RETURN_IF_ERROR(ExchangeAndCompare(rank, 0, 9));  // nothing to rank 0
    const TransferCounts before = rank.group->counters()[kTag];
    RETURN_IF_ERROR(ExchangeAndCompare(rank, 7, 1));
    const TransferCounts after = rank.group->counters()[kTag];
    int64_t sent = 0, received = 0;
    for (int r = 0; r < rank.group->size(); ++r) {
      if (r == rank.group->rank()) continue;
      sent += 4 * (7 * rank.group->rank() + r);
      received += 4 * (7 * r + rank.group->rank());
    }
    RETURN_IF_ERROR(Expect(after.launches == before.launches + 1, "a launch"));
    RETURN_IF_ERROR(
        Expect(after.bytes_sent == before.bytes_sent + sent, "sent"));
    RETURN_IF_ERROR(Expect(
        after.bytes_received == before.bytes_received + received, "received"));
    return ExchangeAndCompare(rank, 0, 0);
  });
}

TEST_P(NcclCollectivesTest, ReduceScatterAddsInRankOrder) {
  RunOnAllRanks([](NcclRank& rank) -> absl::Status {
    ProcessGroup& group = *rank.group;
    std::vector<std::vector<float>> parts;
    for (int r = 0; r < group.size(); ++r) {
      parts.push_back(Values(group.rank(), r == 1 ? 0 : 501 + r));
    }
    std::vector<ConstTensorView> send;
    for (std::vector<float>& part : parts) send.push_back(View(part));
    std::vector<float> sum(group.rank() == 1 ? 0 : 501 + group.rank());
    RETURN_IF_ERROR(rank.Finish(
        group.ReduceScatter(send, View(sum), kTag, rank.stream.get())));
    for (size_t i = 0; i < sum.size(); ++i) {
      RETURN_IF_ERROR(Expect(sum[i] == SumInRankOrder(group.size(), i),
                             absl::StrCat("sum ", i)));
    }
    return Expect(parts[0] == Values(group.rank(), 501), "send untouched");
  });
}

absl::Status SumAndCompare(NcclRank& rank, int64_t count) {
  ProcessGroup& group = *rank.group;
  std::vector<float> values(count);
  FillLater(rank, values, Values(group.rank(), count));
  RETURN_IF_ERROR(rank.Finish(
      group.AllReduce(View(values), Reduction::kSum, kTag, rank.stream.get())));
  for (int64_t i = 0; i < count; ++i) {
    if (values[i] == SumInRankOrder(group.size(), i)) continue;
    return absl::InternalError(absl::StrCat("sum ", i, " of ", count));
  }
  return absl::OkStatus();
}

TEST_P(NcclCollectivesTest, AllReduceAddsInRankOrderWholeAndSplit) {
  RunOnAllRanks([](NcclRank& rank) -> absl::Status {
    constexpr int64_t kWhole = kWholeAllReduceBytes / sizeof(float);
    for (const int64_t count : {int64_t{0}, int64_t{1}, int64_t{3}, kWhole,
                                kWhole + 1, 3 * kWhole + 5}) {
      RETURN_IF_ERROR(SumAndCompare(rank, count));
    }
    return absl::OkStatus();
  });
}

TEST(NcclPiecesTest, SumsLargerThanTheScratchGoInPieces) {
  const auto statuses = OnNcclRanks(4, "", [](NcclRank& rank) {
    // A part of 16 MiB per rank beside the first piece.
    const int64_t bytes = kNcclScratchBytes / 3 * 4 + (1 << 20);
    absl::Status status = SumAndCompare(rank, bytes / 4 + 3);
    if (rank.backend->memory().high_water_bytes() > kNcclScratchBytes + 8192) {
      status = absl::InternalError("more scratch than allowed");
    }
    return status;
  });
  for (const absl::Status& status : statuses) {
    EXPECT_TRUE(status.ok()) << status;
  }
}

TEST_P(NcclCollectivesTest, HostValuesAreThereAfterWait) {
  RunOnAllRanks([](NcclRank& rank) -> absl::Status {
    ProcessGroup& group = *rank.group;
    int64_t values[2] = {group.rank(), -group.rank()};
    const TensorView view(values, DType::kI64, {2});
    RETURN_IF_ERROR(group.AllReduce(view, Reduction::kMax, kTag)->Wait());
    RETURN_IF_ERROR(
        Expect(values[0] == group.size() - 1 && values[1] == 0, "the largest"));
    std::vector<std::vector<float>> parts;
    for (int r = 0; r < group.size(); ++r) parts.emplace_back(3 * r, -1.0f);
    std::vector<TensorView> receive;
    for (std::vector<float>& part : parts) receive.push_back(View(part));
    std::vector<float> send = Values(group.rank(), 3 * group.rank());
    RETURN_IF_ERROR(group.AllGather(View(send), receive, kTag)->Wait());
    for (int r = 0; r < group.size(); ++r) {
      RETURN_IF_ERROR(Expect(parts[r] == Values(r, 3 * r), "host rows"));
    }
    return group.Barrier();
  });
}

TEST_P(NcclCollectivesTest, SendReceivePassesHalosToTheRight) {
  RunOnAllRanks([](NcclRank& rank) -> absl::Status {
    ProcessGroup& group = *rank.group;
    std::vector<float> send = Values(group.rank(), 64);
    std::vector<float> receive(64, -1.0f);
    const bool last = group.rank() + 1 == group.size();
    const TensorView none;
    RETURN_IF_ERROR(rank.Finish(
        group.SendReceive(last ? none : View(send), group.rank() + 1,
                          group.rank() == 0 ? none : View(receive),
                          group.rank() - 1, kTag, rank.stream.get())));
    if (group.rank() == 0) return Expect(receive[5] == -1.0f, "nothing");
    return Expect(receive == Values(group.rank() - 1, 64), "the left one's");
  });
}

TEST_P(NcclCollectivesTest, WorksMayBeWaitedForInAnyOrder) {
  RunOnAllRanks([](NcclRank& rank) -> absl::Status {
    constexpr int64_t kCount = 40000;
    std::vector<std::vector<float>> buffers;
    for (int k = 0; k < 4; ++k) {
      buffers.push_back(Values(rank.group->rank(), kCount));
    }
    std::vector<std::unique_ptr<Work>> works;
    for (std::vector<float>& buffer : buffers) {
      works.push_back(rank.group->AllReduce(View(buffer), Reduction::kSum, kTag,
                                            rank.stream.get()));
    }
    for (int k = 0; k < 4; ++k) {
      const int next = rank.group->rank() % 2 == 0 ? k : 3 - k;
      RETURN_IF_ERROR(works[next]->Wait());
    }
    RETURN_IF_ERROR(rank.stream->Synchronize());
    for (const std::vector<float>& buffer : buffers) {
      RETURN_IF_ERROR(Expect(
          buffer[kCount - 1] == SumInRankOrder(rank.group->size(), kCount - 1),
          "last element"));
    }
    return absl::OkStatus();
  });
}

TEST_P(NcclCollectivesTest, CountersFollowTheFormula) {
  RunOnAllRanks([](NcclRank& rank) -> absl::Status {
    ProcessGroup& group = *rank.group;
    const int others = group.size() - 1;
    std::vector<int64_t> counts;
    int64_t total = 0;
    for (int r = 0; r < group.size(); ++r) total += counts.emplace_back(r * 9);
    RETURN_IF_ERROR(GatherAndCompare(rank, counts, false));
    const int64_t own = counts[group.rank()];
    const TransferCounts counted = group.counters()[kTag];
    RETURN_IF_ERROR(Expect(counted.launches == 1, "one launch"));
    RETURN_IF_ERROR(Expect(counted.bytes_sent == others * own * 4, "sent"));
    RETURN_IF_ERROR(
        Expect(counted.bytes_received == (total - own) * 4, "received"));
    for (const int64_t count : {int64_t{100}, int64_t{50001}}) {
      const int64_t before = group.counters()[kTag].bytes_sent;
      RETURN_IF_ERROR(SumAndCompare(rank, count));
      RETURN_IF_ERROR(
          Expect(group.counters()[kTag].bytes_sent - before ==
                     AllReduceBytesSent(count, 4, group.rank(), group.size()),
                 absl::StrCat("sent by a sum of ", count)));
    }
    return absl::OkStatus();
  });
}

TEST_P(NcclCollectivesTest, BadArgumentsAreRefusedAndHarmless) {
  RunOnAllRanks([](NcclRank& rank) -> absl::Status {
    ProcessGroup& group = *rank.group;
    kernels::Stream* const stream = rank.stream.get();
    std::vector<float> values(8);
    const std::vector<TensorView> many(group.size() + 1, View(values));
    EXPECT_EQ(group.AllGather(View(values), many, kTag, stream)->Wait().code(),
              absl::StatusCode::kInvalidArgument);
    const absl::Status maximum =
        group.AllReduce(View(values), Reduction::kMax, kTag, stream)->Wait();
    EXPECT_THAT(std::string(maximum.message()), HasSubstr("in host memory"));
    std::vector<double> doubles(8);
    const TensorView f64(doubles.data(), DType::kF64, {8});
    EXPECT_EQ(
        group.AllReduce(f64, Reduction::kSum, kTag, stream)->Wait().code(),
        absl::StatusCode::kInvalidArgument);
    const std::vector<kernels::ConstTensorView> parts(group.size(), f64);
    EXPECT_EQ(group.ReduceScatter(parts, f64, kTag, stream)->Wait().code(),
              absl::StatusCode::kInvalidArgument);
    const absl::Status host =
        group.SendReceive(View(values), (group.rank() + 1) % 2, {}, -1, kTag)
            ->Wait();
    EXPECT_EQ(host.code(), absl::StatusCode::kInvalidArgument);
    const std::vector<TensorView> rows(group.size(), View(values));
    const absl::Status parcels =
        group
            .AllToAll(std::vector<ConstTensorView>(rows.begin(), rows.end()),
                      rows, kTag)
            ->Wait();
    EXPECT_THAT(std::string(parcels.message()), HasSubstr("device memory"));
    return group.Barrier();
  });
}

INSTANTIATE_TEST_SUITE_P(Ranks, NcclCollectivesTest,
                         ::testing::Values(1, 2, 3, 4), [](const auto& info) {
                           return absl::StrCat("Of", info.param);
                         });

}  // namespace
}  // namespace longspan::worker
