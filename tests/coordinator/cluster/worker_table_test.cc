#include "coordinator/cluster/worker_table.h"

#include <gtest/gtest.h>

namespace longspan::coordinator {
namespace {

using absl::Minutes;
using absl::Seconds;

Registration Make(const std::string& name, int64_t connection,
                  const std::string& incarnation = "one") {
  Registration registration;
  registration.name = name;
  registration.incarnation = incarnation;
  registration.connection = connection;
  registration.info.devices.push_back({0, "cpu", "", 0, 4, "", "avx512"});
  return registration;
}

class WorkerTableTest : public ::testing::Test {
 protected:
  WorkerTable table_{{Seconds(10), Minutes(5)}};
  const SlotUse use_ = {MakeJobName("default", "a"), 1, 1, 0};
};

TEST_F(WorkerTableTest, LeaseEndsWhenNobodyRenews) {
  table_.Register(Make("w", 1), Seconds(0), absl::UnixEpoch());
  EXPECT_TRUE(table_.Sweep(Seconds(9)).lost.empty());
  EXPECT_TRUE(table_.Renew("w", 1, Seconds(9), absl::UnixEpoch()));
  EXPECT_TRUE(table_.Sweep(Seconds(18)).lost.empty());
  EXPECT_EQ(table_.Sweep(Seconds(19)).lost, std::vector<std::string>{"w"});
  EXPECT_EQ(table_.Find("w")->state, WorkerState::kLost);
  EXPECT_FALSE(table_.Find("w")->Schedulable());
  EXPECT_TRUE(table_.Sweep(Seconds(20)).lost.empty()) << "lost once";
}

TEST_F(WorkerTableTest, LostWorkerKeepsItsSlotsUntilDetachedTimeout) {
  table_.Register(Make("w", 1), Seconds(0), absl::UnixEpoch());
  table_.Use("w", 0, use_);
  table_.Sweep(Seconds(10));
  table_.Release("w", 0, SlotUse{use_.job, 2, 2, 0});
  EXPECT_EQ(table_.Find("w")->uses.size(), 1u) << "another attempt's release";
  EXPECT_TRUE(
      table_.Sweep(Seconds(10) + Minutes(5) - Seconds(1)).forgotten.empty());
  EXPECT_EQ(table_.Sweep(Seconds(10) + Minutes(5)).forgotten,
            std::vector<std::string>{"w"});
  EXPECT_EQ(table_.Find("w"), nullptr);
}

TEST_F(WorkerTableTest, LostWorkerMustRegisterToRenew) {
  table_.Register(Make("w", 1), Seconds(0), absl::UnixEpoch());
  table_.Sweep(Seconds(10));
  EXPECT_FALSE(table_.Renew("w", 1, Seconds(11), absl::UnixEpoch()));
  table_.Register(Make("w", 2), Seconds(12), absl::UnixEpoch());
  EXPECT_TRUE(table_.Find("w")->Schedulable());
}

TEST_F(WorkerTableTest, OldStreamsDoNotSpeakForTheWorker) {
  table_.Register(Make("w", 1), Seconds(0), absl::UnixEpoch());
  table_.Register(Make("w", 2), Seconds(1), absl::UnixEpoch());
  EXPECT_FALSE(table_.Renew("w", 1, Seconds(2), absl::UnixEpoch()));
  table_.Disconnect("w", 1);
  EXPECT_TRUE(table_.Find("w")->Schedulable());
  table_.Disconnect("w", 2);
  EXPECT_FALSE(table_.Find("w")->Schedulable()) << "no stream, no new gangs";
  EXPECT_EQ(table_.Find("w")->state, WorkerState::kReady) << "lease runs on";
}

TEST_F(WorkerTableTest, TwoLiveDaemonsCannotShareAName) {
  table_.Register(Make("w", 1, "one"), Seconds(0), absl::UnixEpoch());
  EXPECT_EQ(table_.CheckRegistration(Make("w", 2, "two"), Seconds(1)).code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_TRUE(table_.CheckRegistration(Make("w", 2, "one"), Seconds(1)).ok());
  EXPECT_TRUE(table_.CheckRegistration(Make("w", 2, "two"), Seconds(10)).ok())
      << "the lease ended";
  table_.Disconnect("w", 1);
  EXPECT_TRUE(table_.CheckRegistration(Make("w", 2, "two"), Seconds(1)).ok());
}

TEST_F(WorkerTableTest, BadRegistrationsAreRefused) {
  EXPECT_FALSE(table_.CheckRegistration(Make("Bad Name", 1), Seconds(0)).ok());
  EXPECT_FALSE(table_.CheckRegistration(Make("", 1), Seconds(0)).ok());
  EXPECT_FALSE(table_.CheckRegistration(Make("w", 1, ""), Seconds(0)).ok());
  Registration none = Make("w", 1);
  none.info.devices.clear();
  EXPECT_FALSE(table_.CheckRegistration(none, Seconds(0)).ok());
  Registration twice = Make("w", 1);
  twice.info.devices.push_back(twice.info.devices[0]);
  EXPECT_FALSE(table_.CheckRegistration(twice, Seconds(0)).ok());
}

TEST_F(WorkerTableTest, ExpectedWorkersGetOneLease) {
  table_.Expect("w", 0, use_, Seconds(100));
  EXPECT_FALSE(table_.Find("w")->Schedulable());
  EXPECT_TRUE(table_.Sweep(Seconds(109)).lost.empty());
  EXPECT_EQ(table_.Sweep(Seconds(110)).lost, std::vector<std::string>{"w"});
}

TEST_F(WorkerTableTest, DrainedWorkerIsForgottenWhenItLeaves) {
  table_.Register(Make("w", 1), Seconds(0), absl::UnixEpoch());
  table_.Drain("w");
  EXPECT_FALSE(table_.Find("w")->Schedulable());
  table_.Disconnect("w", 1);
  EXPECT_EQ(table_.Find("w"), nullptr);
  table_.Register(Make("v", 2), Seconds(0), absl::UnixEpoch());
  table_.Use("v", 0, use_);
  table_.Drain("v");
  table_.Disconnect("v", 2);
  EXPECT_NE(table_.Find("v"), nullptr) << "its executor may live";
}

}  // namespace
}  // namespace longspan::coordinator
