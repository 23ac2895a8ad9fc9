#include <gtest/gtest.h>

#include <set>

#include "tests/support/in_process_cluster/in_process_cluster.h"
#include "tests/support/in_process_cluster/sample_spec.h"

namespace longspan::testing {
namespace {

TEST(ListTest, PagesCoverEverythingOnceNewestFirst) {
  InProcessCluster cluster;
  std::vector<std::string> jobs;
  for (int i = 0; i < 7; ++i) jobs.push_back(cluster.Submit(TrainSpec()));
  std::vector<std::string> listed;
  v1::ListJobsRequest request;
  request.set_page_size(3);
  do {
    const auto page = coordinator::ListJobs(cluster.core(), request);
    ASSERT_TRUE(page.ok());
    EXPECT_LE(page->jobs_size(), 3);
    for (const v1::Job& job : page->jobs()) listed.push_back(job.name());
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(listed, std::vector<std::string>(jobs.rbegin(), jobs.rend()));
}

TEST(ListTest, FiltersByState) {
  InProcessCluster cluster;
  cluster.Submit(TrainSpec());
  v1::CancelJobRequest cancel;
  cancel.set_name(cluster.Submit(TrainSpec()));
  ASSERT_TRUE(coordinator::CancelJob(cluster.core(), cancel).ok());
  v1::ListJobsRequest request;
  request.add_states(v1::CANCELLED);
  const auto list = coordinator::ListJobs(cluster.core(), request);
  ASSERT_EQ(list->jobs_size(), 1);
  EXPECT_EQ(list->jobs(0).name(), cancel.name());
}

TEST(ListTest, TokensBelongToTheirQuestion) {
  InProcessCluster cluster;
  for (int i = 0; i < 3; ++i) cluster.Submit(TrainSpec());
  v1::ListJobsRequest request;
  request.set_page_size(1);
  const std::string token =
      coordinator::ListJobs(cluster.core(), request)->next_page_token();
  request.set_page_token(token);
  EXPECT_TRUE(coordinator::ListJobs(cluster.core(), request).ok());
  request.add_states(v1::PENDING);
  EXPECT_EQ(coordinator::ListJobs(cluster.core(), request).status().code(),
            absl::StatusCode::kInvalidArgument);
  request.clear_states();
  request.set_page_token("garbage!");
  EXPECT_EQ(coordinator::ListJobs(cluster.core(), request).status().code(),
            absl::StatusCode::kInvalidArgument);
  request.clear_page_token();
  request.set_page_size(-1);
  EXPECT_EQ(coordinator::ListJobs(cluster.core(), request).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(ListTest, WorkersArePagedToo) {
  InProcessCluster cluster;
  for (const char* name : {"a", "b", "c"}) cluster.AddWorker(name, 2);
  std::set<std::string> names;
  v1::ListWorkersRequest request;
  request.set_page_size(2);
  do {
    const auto page = coordinator::ListWorkers(cluster.core(), request);
    ASSERT_TRUE(page.ok());
    for (const v1::Worker& worker : page->workers()) {
      EXPECT_TRUE(names.insert(worker.name()).second);
      EXPECT_EQ(worker.slots_size(), 2);
    }
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(names.size(), 3u);
}

TEST(ListTest, SlotsShowWhoUsesThem) {
  InProcessCluster cluster;
  cluster.AddWorker("w", 2);
  const std::string job = cluster.Submit(TrainSpec(1));
  const auto list = coordinator::ListWorkers(cluster.core(), {});
  EXPECT_EQ(list->workers(0).slots(0).attempt(), job + "/attempts/1");
  EXPECT_EQ(list->workers(0).slots(1).attempt(), "");
}

TEST(LogTest, FollowsUntilTheJobEnds) {
  InProcessCluster cluster;
  FakeWorker& worker = cluster.AddWorker("w");
  const std::string job = cluster.Submit(TrainSpec());
  cluster.Settle();
  auto write = [&](const std::string& text) {
    v1::WorkerMessage message;
    *message.mutable_log()->mutable_key() = worker.executor(0).key;
    message.mutable_log()->set_data(text);
    ASSERT_TRUE(worker.Send(message).ok());
  };
  v1::ReadJobLogRequest request;
  request.set_name(job);
  request.set_follow(true);
  auto log = coordinator::ReadJobLog(cluster.core(), request);
  ASSERT_TRUE(log.ok());
  v1::LogChunk chunk;
  absl::Status end;
  EXPECT_EQ((*log)->Next(&chunk, &end), coordinator::PullState::kWait);
  write("step 1\n");
  ASSERT_EQ((*log)->Next(&chunk, &end), coordinator::PullState::kItem);
  EXPECT_EQ(chunk.data(), "step 1\n");
  write("bye\n");
  worker.Report(0, v1::AssignmentStatus::SUCCEEDED);
  ASSERT_EQ((*log)->Next(&chunk, &end), coordinator::PullState::kItem);
  EXPECT_EQ(chunk.offset(), 7);
  EXPECT_EQ(chunk.data(), "bye\n");
  EXPECT_EQ((*log)->Next(&chunk, &end), coordinator::PullState::kEnd);
  EXPECT_TRUE(end.ok());
  request.set_offset(7);
  request.set_follow(false);
  log = coordinator::ReadJobLog(cluster.core(), request);
  ASSERT_EQ((*log)->Next(&chunk, &end), coordinator::PullState::kItem);
  EXPECT_EQ(chunk.data(), "bye\n");
  EXPECT_EQ((*log)->Next(&chunk, &end), coordinator::PullState::kEnd);
}

}  // namespace
}  // namespace longspan::testing
