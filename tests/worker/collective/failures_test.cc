// What a broken group does: errors come at once, name the culprit and stay.
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/rendezvous_stores.h"
#include "tests/support/thread_world.h"
#include "tests/worker/collective/endless_gather.h"
#include "tests/worker/collective/group_worlds.h"

namespace longspan::worker {
namespace {

using ::testing::AnyOf;
using ::testing::Each;
using ::testing::HasSubstr;

std::string Message(const absl::Status& status) {
  return std::string(status.message());
}

kernels::TensorView VectorView(std::vector<double>& values) {
  return kernels::TensorView(values.data(), kernels::DType::kF64,
                             {static_cast<int64_t>(values.size())});
}

class FailuresTest : public ::testing::TestWithParam<GroupKind> {};

TEST_P(FailuresTest, AbortFromAnotherThreadReturnsAtOnce) {
  auto groups = MakeGroups(GetParam(), 2);
  absl::Time aborted;
  std::thread aborter([&] {
    absl::SleepFor(absl::Milliseconds(50));
    aborted = absl::Now();
    groups[0]->Abort(absl::AbortedError("cancelled by the coordinator"));
  });
  const absl::Status first = groups[0]->Barrier();  // rank 1 never comes
  const absl::Time returned = absl::Now();
  aborter.join();
  EXPECT_LT(returned - aborted, absl::Milliseconds(100));
  EXPECT_EQ(first, absl::AbortedError("cancelled by the coordinator"));
  // Broken for good, with the first error; and the other rank learns of it.
  EXPECT_EQ(groups[0]->Barrier(), first);
  // What rank 0 had sent before may still complete a barrier, but only one.
  groups[1]->Barrier().IgnoreError();
  EXPECT_FALSE(groups[1]->Barrier().ok());
  EXPECT_LT(absl::Now() - aborted, absl::Seconds(1));
}

TEST_P(FailuresTest, DeadlineNamesTheMissingRank) {
  auto groups = MakeGroups(GetParam(), 3);
  std::vector<absl::Status> errors(2);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < 2; ++rank) {
    threads.emplace_back([&, rank] {
      groups[rank]->SetTimeout(absl::Milliseconds(200));
      errors[rank] = groups[rank]->Barrier();
    });
  }
  for (std::thread& thread : threads) thread.join();
  // The first to time out closes its connections; the other sees either.
  EXPECT_THAT(errors, ::testing::Contains(::testing::ResultOf(
                          Message, HasSubstr("waiting for rank 2"))));
  for (const absl::Status& error : errors) {
    EXPECT_THAT(error.code(), AnyOf(absl::StatusCode::kDeadlineExceeded,
                                    absl::StatusCode::kUnavailable));
  }
}

TEST(SharedMemoryTest, SizesThatDoNotFitAreAnError) {
  const auto statuses =
      OnAllRanks(MakeGroups(GroupKind::kGloo, 2), [](ProcessGroup& group) {
        std::vector<double> values(group.rank() == 0 ? 3 : 4);
        const kernels::TensorView view(values.data(), kernels::DType::kF64,
                                       {static_cast<int64_t>(values.size())});
        return group.AllReduce(view, Reduction::kSum, TrafficTag())->Wait();
      });
  EXPECT_THAT(statuses, ::testing::Contains(::testing::ResultOf(
                            Message, HasSubstr("bytes where rank"))));
  for (const absl::Status& status : statuses) EXPECT_FALSE(status.ok());
}

// Rank 0 sends rank 1 more than that expects; rank 2 has no part in it.
TEST(AllToAllTest, SizesThatDoNotFitAreAnError) {
  for (const GroupKind kind : {GroupKind::kThread, GroupKind::kGloo}) {
    const auto statuses =
        OnAllRanks(MakeGroups(kind, 3), [](ProcessGroup& group) {
          std::vector<std::vector<double>> sent(3, std::vector<double>(4));
          std::vector<std::vector<double>> received = sent;
          if (group.rank() == 0) sent[1].resize(8);
          std::vector<kernels::ConstTensorView> send;
          std::vector<kernels::TensorView> receive;
          for (int r = 0; r < 3; ++r) {
            send.push_back(VectorView(sent[r]));
            receive.push_back(VectorView(received[r]));
          }
          return group.AllToAll(send, receive, TrafficTag())->Wait();
        });
    EXPECT_EQ(statuses[1].code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(Message(statuses[1]), HasSubstr("rank 0 sends"));
  }
}

TEST_P(FailuresTest, WorksInFlightFailTogether) {
  auto groups = MakeGroups(GetParam(), 2);
  double values[2] = {1, 2};
  std::vector<std::unique_ptr<Work>> works;
  for (double& value : values) {
    const kernels::TensorView view(&value, kernels::DType::kF64, {1});
    works.push_back(groups[0]->AllReduce(view, Reduction::kSum, TrafficTag()));
  }
  groups[0]->Abort(absl::AbortedError("stop"));
  EXPECT_EQ(works[1]->Wait(), absl::AbortedError("stop"));
  EXPECT_EQ(works[0]->Wait(), absl::AbortedError("stop"));
}

// An AllToAll waits for each of its peers, and names the one that is missing.
TEST_P(FailuresTest, AllToAllEndsAtItsDeadlineAndAtAnAbort) {
  for (const bool aborts : {false, true}) {
    auto groups = MakeGroups(GetParam(), 2);
    groups[0]->SetTimeout(aborts ? absl::Seconds(30) : absl::Milliseconds(100));
    std::vector<double> sent(1), received(1), own(1);
    const std::vector<kernels::ConstTensorView> send = {VectorView(own),
                                                        VectorView(sent)};
    const std::vector<kernels::TensorView> receive = {VectorView(own),
                                                      VectorView(received)};
    auto work = groups[0]->AllToAll(send, receive, TrafficTag());
    if (aborts) groups[0]->Abort(absl::AbortedError("stop"));
    const absl::Status error = work->Wait();
    EXPECT_EQ(error.code(), aborts ? absl::StatusCode::kAborted
                                   : absl::StatusCode::kDeadlineExceeded);
    EXPECT_THAT(Message(error), HasSubstr(aborts ? "stop" : "AllToAll of 8"));
    EXPECT_EQ(groups[0]->Barrier(), error);
  }
}

INSTANTIATE_TEST_SUITE_P(Groups, FailuresTest,
                         ::testing::Values(GroupKind::kThread, GroupKind::kGloo,
                                           GroupKind::kGlooTcp),
                         [](const auto& info) {
                           return GroupKindName(info.param);
                         });

TEST(ThreadWorldTest, AbortsAllRanksWithTheFirstError) {
  const absl::Status error =
      testing::RunThreadWorld(3, [](ProcessGroup& group) -> absl::Status {
        if (group.rank() == 1) return absl::DataLossError("rank 1 is unwell");
        return group.Barrier();
      });
  EXPECT_EQ(error, absl::DataLossError("rank 1 is unwell"));
}

std::vector<absl::Status> Connect(std::vector<GlooGroupOptions> ranks) {
  testing::MemoryRendezvousStore store;
  std::vector<absl::Status> statuses(ranks.size());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < ranks.size(); ++i) {
    threads.emplace_back(
        [&, i] { statuses[i] = CreateGlooGroup(ranks[i], store).status(); });
  }
  for (std::thread& thread : threads) thread.join();
  return statuses;
}

TEST(GlooConnectTest, WrongSecretIsRefusedByName) {
  std::vector<GlooGroupOptions> ranks;
  for (int r = 0; r < 3; ++r) ranks.push_back(TestGroupOptions(r, 3));
  ranks[2].secret = "guess";
  const std::vector<absl::Status> statuses = Connect(ranks);
  EXPECT_EQ(statuses[0].code(), absl::StatusCode::kUnauthenticated);
  EXPECT_THAT(Message(statuses[0]), HasSubstr("secret: rank 2"));
  EXPECT_EQ(statuses[1].code(), absl::StatusCode::kUnauthenticated);
  EXPECT_THAT(Message(statuses[1]), HasSubstr("secret: rank 2"));
  EXPECT_THAT(Message(statuses[2]), HasSubstr("secret: rank 0 1"));
}

TEST(GlooConnectTest, AbsentRankFailsAtTheDeadline) {
  GlooGroupOptions options = TestGroupOptions(0, 2);
  options.connect_timeout = absl::Milliseconds(300);
  const absl::Time start = absl::Now();
  const absl::Status status = Connect({options})[0];
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded) << status;
  EXPECT_LT(absl::Now() - start, absl::Seconds(2));
}

TEST(GlooConnectTest, AbortOfTheStoreEndsTheRendezvous) {
  testing::MemoryRendezvousStore store;
  std::thread aborter([&] {
    absl::SleepFor(absl::Milliseconds(50));
    store.Abort();
  });
  const absl::Status status =
      CreateGlooGroup(TestGroupOptions(0, 2), store).status();
  aborter.join();
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted) << status;
}

TEST(GlooConnectTest, BadOptionsAreRefused) {
  GlooGroupOptions no_secret = TestGroupOptions(0, 2);
  no_secret.secret.clear();
  EXPECT_THAT(Message(Connect({no_secret})[0]), HasSubstr("secret"));
  EXPECT_THAT(Message(Connect({TestGroupOptions(2, 2)})[0]),
              HasSubstr("rank 2 is outside a group of 2"));
  GlooGroupOptions address = TestGroupOptions(0, 2);
  address.listen_address = "192.0.2.1";
  EXPECT_EQ(Connect({address})[0].code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace longspan::worker
