#include "coordinator/job/job_name.h"

#include <gtest/gtest.h>

namespace longspan::coordinator {
namespace {

TEST(JobNameTest, ParsesWhatItMakes) {
  const JobName name = MakeJobName("default", "tiny-01");
  EXPECT_EQ(name.value(), "tenants/default/jobs/tiny-01");
  absl::StatusOr<JobNameParts> parts = ParseJobName(name.value());
  ASSERT_TRUE(parts.ok());
  EXPECT_EQ(parts->tenant, "default");
  EXPECT_EQ(parts->job, "tiny-01");
  EXPECT_EQ(AttemptName(name, 3), "tenants/default/jobs/tiny-01/attempts/3");
}

TEST(JobNameTest, RefusesEverythingElse) {
  for (const char* name :
       {"", "x", "tenants/default/jobs", "tenants/default/jobs/",
        "tenants//jobs/a", "tenants/default/jobs/../x", "tenants/a/jobs/A",
        "tenants/a/jobs/-a", "tenants/a/jobs/a-", "tenants/a/jobs/a/attempts/1",
        "tenants/a/jobs/a%2f", "jobs/a/tenants/b"}) {
    EXPECT_FALSE(ParseJobName(name).ok()) << name;
  }
  EXPECT_FALSE(ParseJobName("tenants/a/jobs/" + std::string(64, 'a')).ok());
  EXPECT_TRUE(ParseJobName("tenants/a/jobs/" + std::string(63, 'a')).ok());
}

TEST(JobNameTest, EmptyParentIsTheDefaultTenant) {
  EXPECT_EQ(*ParseTenant(""), "default");
  EXPECT_EQ(*ParseTenant("tenants/acme"), "acme");
  EXPECT_FALSE(ParseTenant("acme").ok());
  EXPECT_FALSE(ParseTenant("tenants/").ok());
}

}  // namespace
}  // namespace longspan::coordinator
