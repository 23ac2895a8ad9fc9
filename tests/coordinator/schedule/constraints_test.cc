#include "coordinator/schedule/constraints.h"

#include <gtest/gtest.h>

#include "tests/coordinator/schedule/test_cluster.h"

namespace longspan::coordinator {
namespace {

class ConstraintsTest : public ::testing::Test {
 protected:
  const char* Violated() const {
    const Constraint* constraint =
        FirstViolated(demand_, worker_, worker_.info.devices[0]);
    return constraint == nullptr ? "" : constraint->name;
  }

  JobDemand demand_;
  Worker worker_ = MakeWorker("w", 1);
};

TEST_F(ConstraintsTest, NothingAskedNothingViolated) {
  EXPECT_STREQ(Violated(), "");
}

TEST_F(ConstraintsTest, DeviceKind) {
  demand_.backend = "cuda";
  EXPECT_STREQ(Violated(), "device kind");
}

TEST_F(ConstraintsTest, Threads) {
  demand_.threads = 4;
  EXPECT_STREQ(Violated(), "");
  demand_.threads = 5;
  EXPECT_STREQ(Violated(), "threads");
}

TEST_F(ConstraintsTest, Memory) {
  demand_.memory_bytes = int64_t{8} << 30;
  EXPECT_STREQ(Violated(), "");
  ++demand_.memory_bytes;
  EXPECT_STREQ(Violated(), "memory");
  worker_.info.devices[0].memory_bytes = 0;
  EXPECT_STREQ(Violated(), "") << "unknown memory is not refused";
}

TEST_F(ConstraintsTest, Roots) {
  demand_.roots = {"corpus"};
  EXPECT_STREQ(Violated(), "");
  demand_.roots = {"corpus", "models"};
  EXPECT_STREQ(Violated(), "roots");
}

TEST_F(ConstraintsTest, GpusOfOneGangNeedNccl) {
  worker_ = MakeWorker("w", 1, "cuda");
  demand_.backend = "cuda";
  demand_.ranks = 2;
  EXPECT_STREQ(Violated(), "");
  worker_.info.nccl_version.clear();
  EXPECT_STREQ(Violated(), "NCCL");
  demand_.ranks = 1;
  EXPECT_STREQ(Violated(), "") << "one GPU talks to nobody";
  worker_ = MakeWorker("w", 1);
  demand_.backend = "cpu";
  demand_.ranks = 2;
  EXPECT_STREQ(Violated(), "");
}

TEST_F(ConstraintsTest, NcclCountsOnlyForCuda) {
  Worker other = MakeWorker("v", 1);
  other.info.nccl_version = "2.20";
  const Device& device = worker_.info.devices[0];
  EXPECT_EQ(GangKey(demand_, worker_, device), GangKey(demand_, other, device));
  demand_.backend = "cuda";
  EXPECT_NE(GangKey(demand_, worker_, device), GangKey(demand_, other, device));
}

}  // namespace
}  // namespace longspan::coordinator
