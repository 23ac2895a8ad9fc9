#include "coordinator/status_page/job_selection.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/support/in_process_cluster/in_process_cluster.h"
#include "tests/support/in_process_cluster/sample_spec.h"

namespace longspan::testing {
namespace {

using coordinator::JobPage;
using coordinator::JobSelection;
using coordinator::JobState;
using coordinator::SelectJobs;

// The names of all pages, one after the other.
std::vector<std::string> NamesOf(InProcessCluster& cluster,
                                 JobSelection selection) {
  MutexLock lock(cluster.core().mu);
  std::vector<std::string> names;
  do {
    const auto page = SelectJobs(cluster.core().jobs, selection);
    EXPECT_TRUE(page.ok()) << page.status();
    EXPECT_LE(page->jobs.size(), static_cast<size_t>(selection.page_size));
    for (const auto& job : page->jobs) names.push_back(job->name.value());
    selection.page_token = page->next_page_token;
  } while (!selection.page_token.empty());
  return names;
}

// One job runs, the others wait, one of them was cancelled.
class JobSelectionTest : public ::testing::Test {
 protected:
  JobSelectionTest() {
    cluster_.AddWorker("w", 1);
    for (int i = 0; i < 7; ++i) jobs_.push_back(cluster_.Submit(TrainSpec()));
    cluster_.Settle();
    v1::CancelJobRequest cancel;
    cancel.set_name(jobs_[5]);
    EXPECT_TRUE(coordinator::CancelJob(cluster_.core(), cancel).ok());
  }

  InProcessCluster cluster_;
  std::vector<std::string> jobs_;
};

TEST_F(JobSelectionTest, PagesCoverEverythingOnceTheBusyFirst) {
  const std::vector<std::string> expected = {
      jobs_[0], jobs_[6], jobs_[4], jobs_[3], jobs_[2], jobs_[1], jobs_[5]};
  for (int size : {1, 2, 3, 7, 50}) {
    EXPECT_EQ(NamesOf(cluster_, {.page_size = size}), expected) << size;
  }
}

TEST_F(JobSelectionTest, ChoosesStates) {
  EXPECT_EQ(NamesOf(cluster_, {.states = {JobState::kCancelled}}),
            std::vector<std::string>{jobs_[5]});
  EXPECT_EQ(NamesOf(cluster_, {.states = {JobState::kFailed}}),
            std::vector<std::string>{});
}

TEST_F(JobSelectionTest, OtherTokensAreRefused) {
  MutexLock lock(cluster_.core().mu);
  for (const char* token : {"x", "1", "1.x", "1.2.3", "1.-5"}) {
    EXPECT_EQ(
        SelectJobs(cluster_.core().jobs, {.page_token = token}).status().code(),
        absl::StatusCode::kInvalidArgument)
        << token;
  }
}

}  // namespace
}  // namespace longspan::testing
