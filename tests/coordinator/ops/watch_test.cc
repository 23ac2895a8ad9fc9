// Watches: no gap, no duplicate, whatever happens in between.
#include <gtest/gtest.h>

#include <map>

#include "common/base/random.h"
#include "coordinator/ops/errors.h"
#include "tests/support/in_process_cluster/in_process_cluster.h"
#include "tests/support/in_process_cluster/sample_spec.h"

namespace longspan::testing {
namespace {

using Status = v1::AssignmentStatus;
using coordinator::PullState;

constexpr char kAll[] = "tenants/default/jobs/-";

std::unique_ptr<coordinator::PullStream<v1::JobEvent>> Open(
    InProcessCluster& cluster, const std::string& name,
    const std::string& token = "") {
  v1::WatchJobRequest request;
  request.set_name(name);
  request.set_resume_token(token);
  auto stream = coordinator::WatchJob(cluster.core(), request);
  EXPECT_TRUE(stream.ok()) << stream.status();
  return stream.ok() ? *std::move(stream) : nullptr;
}

TEST(WatchTest, SingleJobFromStartToEnd) {
  InProcessCluster cluster;
  FakeWorker& worker = cluster.AddWorker("w");
  const std::string job = cluster.Submit(TrainSpec());
  auto watch = Open(cluster, job);
  v1::JobEvent event;
  absl::Status end;
  std::vector<v1::JobState> states;
  auto drain = [&] {
    PullState state;
    while ((state = watch->Next(&event, &end)) == PullState::kItem) {
      if (event.has_state_changed()) {
        states.push_back(event.state_changed().state());
      }
    }
    return state;
  };
  EXPECT_EQ(drain(), PullState::kWait);
  cluster.Settle();
  worker.Report(0, Status::SUCCEEDED);
  EXPECT_EQ(drain(), PullState::kEnd);
  EXPECT_TRUE(end.ok());
  EXPECT_EQ(states, (std::vector<v1::JobState>{v1::PENDING, v1::STARTING,
                                               v1::RUNNING, v1::SUCCEEDED}));
}

TEST(WatchTest, FinishedJobEndsAtOnce) {
  InProcessCluster cluster;
  const std::string job = cluster.Submit(TrainSpec());
  v1::CancelJobRequest cancel;
  cancel.set_name(job);
  ASSERT_TRUE(coordinator::CancelJob(cluster.core(), cancel).ok());
  EXPECT_EQ(cluster.Watch(job).size(), 3u) << "replay, then the end";
  const std::string token = std::to_string(cluster.Get(job).revision());
  EXPECT_TRUE(cluster.Watch(job, token).empty());
}

TEST(WatchTest, ProgressComesWithTheNewest) {
  InProcessCluster cluster;
  FakeWorker& worker = cluster.AddWorker("w");
  const std::string job = cluster.Submit(TrainSpec());
  cluster.Settle();
  worker.Progress(0, 1);
  worker.Progress(0, 2);
  const auto events = cluster.Watch(job);
  ASSERT_EQ(events.size(), 4u);
  EXPECT_EQ(events.back().progress().done(), 2) << "only the newest";
  EXPECT_EQ(events.back().resume_token(), events[2].resume_token());
}

TEST(WatchTest, SilenceIsBrokenByBookmarks) {
  InProcessCluster cluster;
  const std::string job = cluster.Submit(TrainSpec());
  auto watch = Open(cluster, job);
  v1::JobEvent event;
  absl::Status end;
  ASSERT_EQ(watch->Next(&event, &end), PullState::kItem);
  ASSERT_EQ(watch->Next(&event, &end), PullState::kWait);
  cluster.Submit(TrainSpec());  // another job's event
  cluster.clock().Advance(absl::Seconds(15));
  ASSERT_EQ(watch->Next(&event, &end), PullState::kItem);
  EXPECT_TRUE(event.has_bookmark());
  EXPECT_EQ(event.resume_token(), "2") << "the resume point moved on";
  EXPECT_EQ(watch->Next(&event, &end), PullState::kWait);
}

TEST(WatchTest, TooOldTokensAreCompacted) {
  InProcessCluster cluster(
      [](coordinator::CoreOptions& options) { options.history_events = 3; });
  for (int i = 0; i < 6; ++i) cluster.Submit(TrainSpec());
  auto watch = Open(cluster, kAll, "2");
  v1::JobEvent event;
  absl::Status end;
  EXPECT_EQ(watch->Next(&event, &end), PullState::kEnd);
  EXPECT_EQ(end.code(), absl::StatusCode::kOutOfRange);
  EXPECT_NE(end.message().find("too old"), std::string::npos);
  EXPECT_EQ(cluster.Watch(kAll, "3").size(), 3u);
  EXPECT_EQ(cluster.Watch(kAll).size(), 3u) << "from the first that is kept";
}

TEST(WatchTest, SlowWatcherIsToldThatItMissedEvents) {
  InProcessCluster cluster(
      [](coordinator::CoreOptions& options) { options.history_events = 3; });
  cluster.Submit(TrainSpec());
  auto watch = Open(cluster, kAll);
  for (int i = 0; i < 6; ++i) cluster.Submit(TrainSpec());
  v1::JobEvent event;
  absl::Status end;
  EXPECT_EQ(watch->Next(&event, &end), PullState::kEnd);
  EXPECT_EQ(end.code(), absl::StatusCode::kOutOfRange);
}

TEST(WatchTest, BadTokensAndNamesAreRefused) {
  InProcessCluster cluster;
  const std::string job = cluster.Submit(TrainSpec());
  for (const char* token : {"x", "-1", "99", "1.5"}) {
    v1::WatchJobRequest request;
    request.set_name(job);
    request.set_resume_token(token);
    EXPECT_EQ(coordinator::WatchJob(cluster.core(), request).status().code(),
              absl::StatusCode::kInvalidArgument)
        << token;
  }
  v1::WatchJobRequest missing;
  missing.set_name("tenants/default/jobs/none");
  EXPECT_EQ(coordinator::WatchJob(cluster.core(), missing).status().code(),
            absl::StatusCode::kNotFound);
  missing.set_name("-");
  EXPECT_EQ(coordinator::WatchJob(cluster.core(), missing).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(WatchTest, StreamsEndWithTheCoordinator) {
  InProcessCluster cluster;
  auto watch = Open(cluster, cluster.Submit(TrainSpec()));
  {
    MutexLock lock(cluster.core().mu);
    cluster.core().stopping = true;
  }
  v1::JobEvent event;
  absl::Status end;
  EXPECT_EQ(watch->Next(&event, &end), PullState::kEnd);
  EXPECT_EQ(end.code(), absl::StatusCode::kUnavailable);
}

TEST(WatchTest, OtherTenantsAreNotSeen) {
  InProcessCluster cluster;
  cluster.Submit(TrainSpec());
  v1::CreateJobRequest request;
  *request.mutable_spec() = TrainSpec();
  request.set_parent("tenants/acme");
  ASSERT_TRUE(coordinator::CreateJob(cluster.core(), request).ok());
  EXPECT_EQ(cluster.Watch(kAll).size(), 1u);
  EXPECT_EQ(cluster.Watch("tenants/acme/jobs/-").size(), 1u);
}

// What a client knows of the jobs: name -> the parts that events carry.
using View = std::map<std::string, std::string>;

std::string Essence(v1::Job job) {
  job.clear_pending_reason();
  job.clear_queue_position();
  job.clear_progress();
  return job.SerializeAsString();
}

View List(InProcessCluster& cluster, std::string* token) {
  View view;
  v1::ListJobsRequest request;
  request.set_page_size(3);
  do {
    const auto page = coordinator::ListJobs(cluster.core(), request);
    EXPECT_TRUE(page.ok());
    for (const v1::Job& job : page->jobs()) view[job.name()] = Essence(job);
    request.set_page_token(page->next_page_token());
    *token = page->resume_token();
  } while (!request.page_token().empty());
  return view;
}

// A watcher that keeps its view up to date, and checks the order.
class Watcher {
 public:
  explicit Watcher(InProcessCluster& cluster) : cluster_(cluster) {
    view_ = List(cluster, &token_);
  }

  void CatchUp() {
    for (const v1::JobEvent& event : cluster_.Watch(kAll, token_)) {
      const int64_t revision = std::stoll(event.resume_token());
      if (event.has_state_changed() || event.has_deleted()) {
        EXPECT_GT(revision, std::stoll(token_)) << "no duplicate";
      }
      EXPECT_GE(revision, std::stoll(token_)) << "no way back";
      token_ = event.resume_token();
      if (event.has_state_changed()) {
        view_[event.job()] = Essence(event.state_changed());
      } else if (event.has_deleted()) {
        view_.erase(event.job());
      }
    }
  }

  const View& view() const { return view_; }

 private:
  InProcessCluster& cluster_;
  View view_;
  std::string token_;
};

// One random thing that may happen to the cluster.
void Disturb(InProcessCluster& cluster, std::vector<std::string>& jobs,
             uint64_t dice) {
  auto& worker = *cluster.workers()[dice % cluster.workers().size()];
  const std::string job = jobs.empty() ? "" : jobs[(dice >> 8) % jobs.size()];
  switch ((dice >> 16) % 9) {
    case 0:
    case 1:
      jobs.push_back(cluster.Submit(TrainSpec(1 + (dice >> 24) % 2)));
      break;
    case 2:
      cluster.Settle();
      break;
    case 3:
      if (!worker.executors().empty() && worker.connected()) {
        auto& executor = worker.executors().front();
        worker.Report(
            executor.key, executor.rank,
            (dice >> 24) % 2 == 0 ? Status::SUCCEEDED : Status::FAILED,
            "by chance", 13);
        worker.executors().erase(worker.executors().begin());
      }
      break;
    case 4: {
      v1::CancelJobRequest request;
      request.set_name(job);
      (void)coordinator::CancelJob(cluster.core(), request);
      break;
    }
    case 5: {
      v1::DeleteJobRequest request;
      request.set_name(job);
      (void)coordinator::DeleteJob(cluster.core(), request);
      break;
    }
    case 6:
      cluster.Advance(absl::Seconds(10));
      break;
    case 7:
      worker.Restart();
      cluster.ReconnectAll();
      break;
    case 8:
      cluster.RestartCoordinator();
      cluster.ReconnectAll();
      break;
  }
}

// list@r followed by watch(r) gives list@r', for random histories with
// failures, deletions and restarts.
TEST(WatchTest, ListAndWatchAgreeWithALaterList) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    InProcessCluster cluster;
    cluster.AddWorker("a", 2);
    cluster.AddWorker("b", 1);
    std::vector<std::string> jobs;
    std::vector<Watcher> watchers;
    for (uint64_t step = 0; step < 60; ++step) {
      const uint64_t dice =
          RandomBelow({seed, RandomPurpose::kTest, 0}, step, uint64_t{1} << 40);
      Disturb(cluster, jobs, dice);
      if (step % 10 == 3) watchers.emplace_back(cluster);
      for (size_t i = 0; i < watchers.size(); ++i) {
        if ((dice >> (20 + i)) % 3 == 0) watchers[i].CatchUp();
      }
    }
    std::string token;
    const View truth = List(cluster, &token);
    for (Watcher& watcher : watchers) {
      watcher.CatchUp();
      EXPECT_EQ(watcher.view(), truth) << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace longspan::testing
