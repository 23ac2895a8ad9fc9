#include "coordinator/job/job_table.h"

#include <gtest/gtest.h>

namespace longspan::coordinator {
namespace {

JobEvent Create(const std::string& id, const std::string& request) {
  JobCreated created;
  created.spec = std::make_shared<const std::string>("spec");
  created.request_id = request;
  return {MakeJobName("default", id), absl::UnixEpoch(), created};
}

TEST(JobTableTest, FindsByRequestId) {
  JobTable table;
  ASSERT_TRUE(table.Apply(Create("a", "r1"), 1).ok());
  ASSERT_TRUE(table.Apply(Create("b", ""), 2).ok());
  EXPECT_EQ(table.FindByRequest("default", "r1")->name,
            MakeJobName("default", "a"));
  EXPECT_EQ(table.FindByRequest("other", "r1"), nullptr);
  EXPECT_EQ(table.FindByRequest("default", ""), nullptr);
}

TEST(JobTableTest, DeletionForgetsTheRequestId) {
  JobTable table;
  const JobName name = MakeJobName("default", "a");
  ASSERT_TRUE(table.Apply(Create("a", "r1"), 1).ok());
  ASSERT_TRUE(table.Apply({name, absl::UnixEpoch(), JobFailed{"no"}}, 2).ok());
  ASSERT_TRUE(table.Apply({name, absl::UnixEpoch(), JobDeleted{}}, 3).ok());
  EXPECT_EQ(table.Find(name), nullptr);
  EXPECT_EQ(table.FindByRequest("default", "r1"), nullptr);
  EXPECT_EQ(table.revision(), 3);
}

TEST(JobTableTest, RevisionsGrowAndMaySkip) {
  JobTable table;
  ASSERT_TRUE(table.Apply(Create("a", ""), 5).ok());
  EXPECT_FALSE(table.Apply(Create("b", ""), 5).ok());
  EXPECT_FALSE(table.Apply(Create("b", ""), 4).ok());
  ASSERT_TRUE(table.Apply(Create("b", ""), 9).ok());
  table.SkipTo(7);
  EXPECT_EQ(table.revision(), 9);
}

TEST(JobTableTest, ChecksBatchesInOrder) {
  JobTable table;
  const JobName name = MakeJobName("default", "a");
  const JobEvent fail = {name, absl::UnixEpoch(), JobFailed{"no"}};
  EXPECT_TRUE(table.CanApplyAll({Create("a", ""), fail}).ok());
  EXPECT_FALSE(table.CanApplyAll({fail, Create("a", "")}).ok());
  EXPECT_FALSE(table.CanApplyAll({Create("a", ""), Create("a", "")}).ok());
  EXPECT_EQ(table.Find(name), nullptr);
}

TEST(JobTableTest, SnapshotsDoNotChange) {
  JobTable table;
  const JobName name = MakeJobName("default", "a");
  ASSERT_TRUE(table.Apply(Create("a", ""), 1).ok());
  const JobSnapshot before = table.Find(name);
  ASSERT_TRUE(table.Apply({name, absl::UnixEpoch(), JobFailed{"no"}}, 2).ok());
  EXPECT_EQ(before->state, JobState::kPending);
  EXPECT_EQ(table.Find(name)->state, JobState::kFailed);
  EXPECT_EQ(before->spec, table.Find(name)->spec) << "shared, not copied";
}

}  // namespace
}  // namespace longspan::coordinator
