// What a broken NCCL group does: errors name rank and operation, come in time
// and stay; nothing hangs, not even the end.
#include <cstdlib>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/queued_device/queued_device.h"
#include "tests/support/queued_device/queued_stream.h"
#include "tests/support/rendezvous_stores.h"
#include "tests/worker/collective/nccl_world.h"
#include "worker/collective/nccl_communicator.h"
#include "worker/collective/nccl_connect.h"
#include "worker/collective/nccl_library.h"

namespace longspan::worker {
namespace {

using kernels::DType;
using kernels::TensorView;
using ::testing::HasSubstr;

constexpr TrafficTag kFailureTag = {Traffic::kStateExchange,
                                    Direction::kForward, 3};

std::string Message(const absl::Status& status) {
  return std::string(status.message());
}

// Two device sums and the agreement that ends a step.
absl::Status Step(NcclRank& rank, std::vector<float>& values) {
  const TensorView view(values.data(), DType::kF32,
                        {static_cast<int64_t>(values.size())});
  for (int k = 0; k < 2; ++k) {
    RETURN_IF_ERROR(
        rank.group
            ->AllReduce(view, Reduction::kSum, kFailureTag, rank.stream.get())
            ->Wait());
  }
  RETURN_IF_ERROR(rank.stream->Synchronize());
  return rank.group->Barrier();
}

std::vector<absl::Status> RunSteps(int size, const std::string& faults,
                                   absl::Duration timeout) {
  return OnNcclRanks(size, faults, [timeout](NcclRank& rank) {
    rank.group->SetTimeout(timeout);
    std::vector<float> values(16, 1.0f);
    const absl::Status first = Step(rank, values);
    const absl::Status second = rank.group->Barrier();
    EXPECT_EQ(second.ok() ? absl::OkStatus() : first, second);
    rank.group.reset();  // before its operands
    return first;
  });
}

TEST(NcclFailuresTest, HangingCollectiveEndsAtTheDeadline) {
  const absl::Time start = absl::Now();
  const auto statuses = RunSteps(2, "hang@1:1,silent", absl::Milliseconds(300));
  for (int rank = 0; rank < 2; ++rank) {
    EXPECT_EQ(statuses[rank].code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_THAT(
        Message(statuses[rank]),
        HasSubstr(absl::StrCat("rank ", rank,
                               ": AllReduce of 64 bytes for state_exchange "
                               "forward, layer 3: deadline passed")));
  }
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
}

TEST(NcclFailuresTest, CallThatNcclNeverFinishesEndsAtTheDeadline) {
  const auto statuses =
      RunSteps(2, "hang_enqueue@0:1,silent", absl::Milliseconds(300));
  EXPECT_EQ(statuses[0].code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(Message(statuses[0]), HasSubstr("rank 0: AllReduce of 64 bytes"));
  EXPECT_FALSE(statuses[1].ok());
}

TEST(NcclFailuresTest, AsynchronousErrorBreaksTheGroup) {
  const auto statuses = RunSteps(2, "error@0:1", absl::Seconds(20));
  EXPECT_EQ(statuses[0].code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(Message(statuses[0]), HasSubstr("rank 0: AllReduce of 64 bytes"));
  EXPECT_THAT(Message(statuses[0]), HasSubstr("NCCL: remote process exited"));
  EXPECT_EQ(statuses[1].code(), absl::StatusCode::kUnavailable);
}

// The watchdog may look after a call and before Watch().
TEST(NcclFailuresTest, ErrorOfACallThatIsNotWatchedYetNamesIt) {
  UseFakeNccl("error@0:0");
  testing::MemoryRendezvousStore store;
  const auto device = testing::CreateQueuedDevice();
  testing::QueuedStream stream;
  std::promise<void> issued;
  stream.Submit([begin = issued.get_future().share()] {
    begin.wait();
    return absl::OkStatus();
  });
  NcclGroupOptions options = {.rank = 0, .size = 1};
  options.backend = device.get();
  const auto library = LoadNccl();
  ASSERT_TRUE(library.ok()) << library.status();
  const auto comm = ConnectNccl(**library, options, store);
  ASSERT_TRUE(comm.ok()) << comm.status();
  NcclCommunicator communicator(**library, *comm);
  std::vector<char> sent(8), received(8);
  const NcclOperation gather = {"a gather", NcclDeadline(absl::Seconds(20))};
  const auto call = [&](NcclComm c) {
    return (*library)->all_gather(sent.data(), received.data(), sent.size(),
                                  kNcclUint8, c, stream.native_handle());
  };
  EXPECT_EQ(communicator.Issue(gather, call), absl::OkStatus());
  issued.set_value();
  const absl::Time limit = absl::Now() + absl::Seconds(10);
  while (communicator.health().ok() && absl::Now() < limit) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_THAT(Message(communicator.health()),
              HasSubstr("a gather: NCCL: remote process exited"));
}

TEST(NcclFailuresTest, OthersNoticeARankThatLeaves) {
  const auto statuses = OnNcclRanks(3, "", [](NcclRank& rank) {
    if (rank.group->rank() == 2) {
      rank.group->Abort(absl::DataLossError("rank 2 is unwell"));
      return rank.group->Barrier();
    }
    return rank.group->Barrier();
  });
  EXPECT_EQ(statuses[2], absl::DataLossError("rank 2 is unwell"));
  EXPECT_EQ(statuses[0].code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(Message(statuses[1]), HasSubstr("closed by remote peer"));
}

TEST(NcclFailuresTest, AbortFromAnotherThreadReturnsAtOnce) {
  const auto statuses = OnNcclRanks(2, "silent", [](NcclRank& rank) {
    ProcessGroup& group = *rank.group;
    if (group.rank() == 1) {
      absl::SleepFor(absl::Milliseconds(200));  // never comes
      group.Abort(absl::AbortedError("stop"));
      return group.Barrier();
    }
    absl::Time aborted;
    std::thread aborter([&] {
      absl::SleepFor(absl::Milliseconds(50));
      aborted = absl::Now();
      group.Abort(absl::AbortedError("cancelled by the coordinator"));
    });
    const absl::Status first = group.Barrier();
    const absl::Time returned = absl::Now();
    aborter.join();
    EXPECT_LT(returned - aborted, absl::Milliseconds(100));
    EXPECT_EQ(group.Barrier(), first);
    return first;
  });
  EXPECT_EQ(statuses[0], absl::AbortedError("cancelled by the coordinator"));
  EXPECT_EQ(statuses[1], absl::AbortedError("stop"));
}

TEST(NcclFailuresTest, GoodbyeIsSaidWhileOthersComputeOn) {
  const auto statuses = OnNcclRanks(2, "slow:2000", [](NcclRank& rank) {
    std::vector<float> values(16, 1.0f);
    RETURN_IF_ERROR(Step(rank, values));
    if (rank.group->rank() == 1) absl::SleepFor(absl::Milliseconds(100));
    return rank.group->counters().empty() ? absl::InternalError("no counters")
                                          : absl::OkStatus();
  });
  for (const absl::Status& status : statuses) {
    EXPECT_TRUE(status.ok()) << status;
  }
}

absl::Status ConnectAlone(int rank, const std::string& faults) {
  UseFakeNccl(faults);
  testing::MemoryRendezvousStore store;
  return ConnectNcclRank(rank, 2, store, absl::Milliseconds(300)).status();
}

TEST(NcclConnectTest, AbsentPeerFailsAtTheDeadline) {
  const absl::Time start = absl::Now();
  const absl::Status status = ConnectAlone(0, "");
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(Message(status),
              HasSubstr("rank 0: connecting 2 ranks over NCCL 2.28.9"));
  EXPECT_THAT(Message(status), HasSubstr("within 300ms; a rank did not start"));
  EXPECT_LT(absl::Now() - start, absl::Seconds(3));
}

TEST(NcclConnectTest, MissingIdIsOfRankZero) {
  const absl::Status status = ConnectAlone(1, "");
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(Message(status), HasSubstr("waiting for the NCCL id of rank 0"));
}

TEST(NcclConnectTest, ErrorsOfTheConnectionCarryNcclsWords) {
  const absl::Status status = ConnectAlone(0, "fail_init@0");
  EXPECT_THAT(Message(status), HasSubstr("invalid usage: Duplicate GPU"));
}

TEST(NcclConnectTest, AbortOfTheStoreEndsTheRendezvous) {
  UseFakeNccl("");
  testing::MemoryRendezvousStore store;
  store.Abort();
  EXPECT_EQ(ConnectNcclRank(1, 2, store, absl::Seconds(20)).status().code(),
            absl::StatusCode::kAborted);
}

TEST(NcclLibraryTest, AbsenceNamesThePlaces) {
  setenv("LONGSPAN_NCCL_LIBRARY", "/nowhere/libnccl.so.2", 1);
  const absl::Status status = OpenNccl().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(Message(status), HasSubstr("LONGSPAN_NCCL_LIBRARY"));
  EXPECT_THAT(Message(status), HasSubstr("/nowhere/libnccl.so.2"));
}

TEST(NcclLibraryTest, AnotherLibraryIsRefused) {
  setenv("LONGSPAN_NCCL_LIBRARY", "libc.so.6", 1);
  EXPECT_THAT(Message(OpenNccl().status()),
              HasSubstr("libc.so.6 lacks ncclGetVersion"));
}

TEST(NcclLibraryTest, VersionsAreReadable) {
  EXPECT_EQ(NcclVersionText(22809), "2.28.9");
  EXPECT_EQ(NcclVersionText(21800), "2.18.0");
}

}  // namespace
}  // namespace longspan::worker
