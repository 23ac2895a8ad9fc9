#include "coordinator/schedule/schedule.h"

#include <gtest/gtest.h>

#include "tests/coordinator/schedule/test_cluster.h"

namespace longspan::coordinator {
namespace {

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// A job whose gang is being stopped.
JobSnapshot Stopping(const std::string& id, int ranks) {
  Job job = *Waiting(id, ranks);
  job.state = JobState::kRecovering;
  job.attempts.push_back({.number = 1});
  return std::make_shared<const Job>(std::move(job));
}

TEST(ScheduleTest, QueueIsFifoWithinPriorityAndRecoveringFirst) {
  JobTable table;
  auto create = [&](const std::string& id, int priority, int64_t revision) {
    JobCreated created;
    created.demand.priority = priority;
    ASSERT_TRUE(
        table
            .Apply({MakeJobName("default", id), absl::UnixEpoch(), created},
                   revision)
            .ok());
  };
  create("late", 0, 1);
  create("z-first", 5, 2);
  create("a-second", 5, 3);
  create("broken", 0, 4);
  const JobName broken = MakeJobName("default", "broken");
  const std::vector<JobEventBody> story = {
      GangPlaced{1, 1, "", {{0, "w", 0}}},
      RankFailed{1, 0, absl::StatusCode::kInternal, "x"}, AttemptEnded{1, "x"}};
  int64_t revision = 4;
  for (const JobEventBody& body : story) {
    ASSERT_TRUE(
        table.Apply({broken, absl::UnixEpoch(), body}, ++revision).ok());
  }
  std::vector<std::string> order;
  for (const JobSnapshot& job : QueueOrder(table)) {
    order.push_back(ParseJobName(job->name.value())->job);
  }
  EXPECT_EQ(order, (std::vector<std::string>{"broken", "z-first", "a-second",
                                             "late"}));
}

TEST(ScheduleTest, PlacesWhatFits) {
  const auto decisions =
      Schedule({Waiting("a", 1), Waiting("b", 1), Waiting("c", 1)},
               Cluster({MakeWorker("w", 2)}));
  EXPECT_EQ(decisions[0].placements.size(), 1u);
  EXPECT_EQ(decisions[1].placements.size(), 1u);
  EXPECT_NE(decisions[0].placements[0], decisions[1].placements[0]);
  EXPECT_TRUE(decisions[2].placements.empty());
  EXPECT_EQ(decisions[2].queue_position, 1);
  EXPECT_TRUE(Contains(decisions[2].pending_reason, "0 of 2 are free"))
      << decisions[2].pending_reason;
}

TEST(ScheduleTest, BigJobAtTheHeadIsNotOvertaken) {
  Workers workers = Cluster({MakeWorker("w", 2)});
  Occupy(workers["w"], 0);
  const auto decisions =
      Schedule({Waiting("big", 2), Waiting("small", 1)}, workers);
  EXPECT_TRUE(decisions[0].placements.empty());
  EXPECT_TRUE(Contains(decisions[0].pending_reason, "1 of 2 are free"));
  EXPECT_EQ(decisions[0].reason_kind, PendingReasonKind::kDevicesInUse);
  EXPECT_EQ(decisions[1].reason_kind, PendingReasonKind::kBehindAnother);
  EXPECT_TRUE(Contains(decisions[0].pending_reason,
                       "1 used by tenants/default/jobs/busy"))
      << decisions[0].pending_reason;
  EXPECT_TRUE(decisions[1].placements.empty()) << "no starvation";
  EXPECT_TRUE(
      Contains(decisions[1].pending_reason,
               "waits behind tenants/default/jobs/big, which needs 2 cpu"))
      << decisions[1].pending_reason;
  EXPECT_EQ(decisions[0].queue_position, 1);
  EXPECT_EQ(decisions[1].queue_position, 2);
}

// The slots of a failed gang come free one by one; while the last rank stops,
// nobody takes the others.
TEST(ScheduleTest, JobWhoseGangStopsIsNotOvertaken) {
  Workers workers = Cluster({MakeWorker("w", 3)});
  Occupy(workers["w"], 0);
  const JobSnapshot broken = Stopping("broken", 3);
  ASSERT_NE(broken->LiveAttempt(), nullptr);
  const auto decisions = Schedule({broken, Waiting("small", 2)}, workers);
  ASSERT_EQ(decisions.size(), 1u) << "a gang that stops is not placed";
  EXPECT_TRUE(decisions[0].placements.empty());
  EXPECT_EQ(decisions[0].reason_kind, PendingReasonKind::kBehindAnother);
  EXPECT_TRUE(Contains(decisions[0].pending_reason,
                       "waits behind tenants/default/jobs/broken"))
      << decisions[0].pending_reason;
}

// Where others are free, it waits for those, and the rest is for the next.
TEST(ScheduleTest, GangThatStopsKeepsNoMoreThanItNeeds) {
  Workers workers = Cluster({MakeWorker("w", 4)});
  Occupy(workers["w"], 0);
  const auto decisions =
      Schedule({Stopping("broken", 2), Waiting("small", 1), Waiting("next", 1)},
               workers);
  ASSERT_EQ(decisions.size(), 2u);
  EXPECT_EQ(decisions[0].placements.size(), 1u);
  EXPECT_TRUE(decisions[1].placements.empty());
  EXPECT_EQ(decisions[1].reason_kind, PendingReasonKind::kDevicesInUse);
}

TEST(ScheduleTest, ImpossibleJobBlocksNobody) {
  const auto decisions = Schedule({Waiting("huge", 9), Waiting("small", 1)},
                                  Cluster({MakeWorker("w", 2)}));
  EXPECT_TRUE(decisions[0].placements.empty());
  EXPECT_TRUE(Contains(decisions[0].pending_reason,
                       "needs 9 cpu slots; of the registered slots 2 qualify"))
      << decisions[0].pending_reason;
  EXPECT_EQ(decisions[0].reason_kind, PendingReasonKind::kNoCapacity);
  EXPECT_EQ(decisions[1].placements.size(), 1u);
}

TEST(ScheduleTest, SlotsOfALostWorkerStillReserveForTheBigJob) {
  Workers workers = Cluster({MakeWorker("a", 1), MakeWorker("b", 1)});
  workers["b"].state = WorkerState::kLost;
  Occupy(workers["b"], 0);
  const auto decisions =
      Schedule({Waiting("big", 2), Waiting("small", 1)}, workers);
  EXPECT_TRUE(decisions[1].placements.empty());
  EXPECT_TRUE(Contains(decisions[0].pending_reason, "held by lost worker b"))
      << decisions[0].pending_reason;
}

TEST(ScheduleTest, KindsOfDevicesDoNotBlockEachOther) {
  auto cuda = std::make_shared<Job>(*Waiting("cuda", 2));
  cuda->demand.backend = "cuda";
  Workers workers = Cluster({MakeWorker("c", 1), MakeWorker("g", 2, "cuda")});
  Occupy(workers["g"], 0);
  const auto decisions = Schedule({cuda, Waiting("cpu", 1)}, workers);
  EXPECT_TRUE(decisions[0].placements.empty());
  EXPECT_EQ(decisions[1].placements.size(), 1u);
}

TEST(ScheduleTest, SaysWhatSlotsLack) {
  auto picky = std::make_shared<Job>(*Waiting("picky", 1));
  picky->demand.roots = {"secret"};
  const auto decisions = Schedule({picky}, Cluster({MakeWorker("w", 2)}));
  EXPECT_TRUE(Contains(decisions[0].pending_reason, "2 lack roots"))
      << decisions[0].pending_reason;
  EXPECT_TRUE(Contains(Schedule({Waiting("a", 1)}, {})[0].pending_reason,
                       "no worker is registered"));
}

TEST(ScheduleTest, NoteOfARequeuedJobIsKept) {
  auto job = std::make_shared<Job>(*Waiting("a", 1));
  job->pending_note = "no replacement was found within 5m";
  const auto decisions = Schedule({job}, {});
  EXPECT_TRUE(Contains(decisions[0].pending_reason, job->pending_note));
}

}  // namespace
}  // namespace longspan::coordinator
