#include "coordinator/status_page/progress_history.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/in_process_cluster/in_process_cluster.h"
#include "tests/support/in_process_cluster/sample_spec.h"

namespace longspan::testing {
namespace {

using coordinator::JobName;
using coordinator::ProgressHistory;
using coordinator::ThinnedCurve;

std::vector<int64_t> StepsOf(const ThinnedCurve& curve) {
  std::vector<int64_t> steps;
  for (const ThinnedCurve::Point& point : curve.points()) {
    steps.push_back(point.step);
  }
  return steps;
}

void Report(FakeWorker& worker, int64_t step, double loss,
            double validation_loss = 0) {
  v1::WorkerMessage message;
  v1::RankReport& report = *message.mutable_rank_report();
  *report.mutable_key() = worker.executor(0).key;
  report.mutable_progress()->set_done(step);
  report.mutable_progress()->set_loss(loss);
  report.mutable_progress()->set_validation_loss(validation_loss);
  ASSERT_TRUE(worker.Send(message).ok());
}

class ProgressHistoryTest : public ::testing::Test {
 protected:
  std::string Start() {
    const std::string job = cluster_.Submit(TrainSpec());
    cluster_.Settle();
    return job;
  }

  InProcessCluster cluster_;
  FakeWorker& worker_ = cluster_.AddWorker("w");
  ProgressHistory history_{cluster_.core(), /*most_jobs=*/2};
};

TEST_F(ProgressHistoryTest, FollowsARunningJob) {
  const JobName job(Start());
  history_.Run();
  EXPECT_FALSE(history_.Find(job).has_value());
  for (int step : {1, 2, 3}) {
    Report(worker_, step, 4.0 / step);
    history_.Run();
    history_.Run();  // nothing new
  }
  const auto curves = history_.Find(job);
  ASSERT_TRUE(curves.has_value());
  EXPECT_EQ(StepsOf(curves->loss), (std::vector<int64_t>{1, 2, 3}));
  EXPECT_EQ(curves->loss.points()[1].mean, 2.0f);
  EXPECT_TRUE(curves->validation_loss.points().empty());
  EXPECT_TRUE(curves->tokens_per_second.points().empty());
}

TEST_F(ProgressHistoryTest, AValidationIsOnePointHoweverOftenItIsRepeated) {
  const JobName job(Start());
  for (int step = 1; step <= 6; ++step) {
    Report(worker_, step, 3, step < 3 ? 0 : step < 5 ? 2.5 : 2.25);
    history_.Run();
  }
  EXPECT_EQ(StepsOf(history_.Find(job)->validation_loss),
            (std::vector<int64_t>{3, 5}));
}

TEST_F(ProgressHistoryTest, WhatAJobReportedAtItsEndCounts) {
  const JobName job(Start());
  Report(worker_, 1, 2);
  history_.Run();
  Report(worker_, 10, 1);
  worker_.Report(0, v1::AssignmentStatus::SUCCEEDED);
  cluster_.Settle();
  history_.Run();
  EXPECT_EQ(StepsOf(history_.Find(job)->loss), (std::vector<int64_t>{1, 10}));
}

TEST_F(ProgressHistoryTest, KeepsTheJobsThatRanLast) {
  std::vector<JobName> jobs;
  for (int i = 0; i < 3; ++i) {
    jobs.emplace_back(Start());
    Report(worker_, 1, 2);
    history_.Run();
    worker_.Report(0, v1::AssignmentStatus::SUCCEEDED);
    cluster_.Settle();
  }
  history_.Run();
  EXPECT_FALSE(history_.Find(jobs[0]).has_value());
  EXPECT_TRUE(history_.Find(jobs[1]).has_value());
  EXPECT_TRUE(history_.Find(jobs[2]).has_value());
}

}  // namespace
}  // namespace longspan::testing
