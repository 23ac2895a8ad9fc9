#include "worker/job/run_agreement.h"

#include <gtest/gtest.h>

#include "common/base/status_macros.h"
#include "tests/support/thread_world.h"

namespace longspan::worker {
namespace {

using longspan::testing::RunThreadWorld;

TEST(RunAgreementTest, ASingleRankAgreesWithItself) {
  RunAgreement agreement(nullptr);
  agreement.Start(1.5, false);
  EXPECT_EQ(agreement.Finish()->seconds, 1.5);
  agreement.Start(2.5, true);
  EXPECT_TRUE(agreement.Finish()->stop);
}

TEST(RunAgreementTest, RankZerosTimeAndAnybodysStop) {
  ASSERT_TRUE(RunThreadWorld(4, [](ProcessGroup& group) {
                RunAgreement agreement(&group);
                for (int step = 0; step < 5; ++step) {
                  const bool stop = step == 3 && group.rank() == 2;
                  agreement.Start(10.0 * step + 0.1 * group.rank(), stop);
                  ASSIGN_OR_RETURN(const Agreed agreed, agreement.Finish());
                  EXPECT_EQ(agreed.seconds, 10.0 * step);
                  EXPECT_EQ(agreed.stop, step == 3);
                }
                return absl::OkStatus();
              }).ok());
}

TEST(RunAgreementTest, ABrokenGroupIsAnError) {
  const absl::Status status = RunThreadWorld(2, [](ProcessGroup& group) {
    if (group.rank() == 1) return absl::DataLossError("rank 1 is gone");
    RunAgreement agreement(&group);
    agreement.Start(0.0, false);
    return agreement.Finish().status();
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace longspan::worker
