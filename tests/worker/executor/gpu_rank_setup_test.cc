// The GPU of a rank, on the emulator.
#include <cstdlib>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "longspan/internal/executor.pb.h"
#include "tests/support/rendezvous_stores.h"
#include "worker/executor/rank_setup.h"

namespace longspan::worker {
namespace {

using ::testing::HasSubstr;

class GpuRankSetupTest : public ::testing::Test {
 protected:
  GpuRankSetupTest() {
    v1::JobSpec* spec = message_.mutable_assignment()->mutable_spec();
    spec->mutable_resources()->set_ranks(1);
    spec->mutable_resources()->set_backend("cuda");
    spec->mutable_generate();
  }
  ~GpuRankSetupTest() override { unsetenv("CUDA_VISIBLE_DEVICES"); }

  internal::ExecutorAssignment message_;
  testing::MemoryRendezvousStore store_;
};

TEST_F(GpuRankSetupTest, ARankComputesOnTheGpuThatItIsShown) {
  setenv("CUDA_VISIBLE_DEVICES", "GPU-emulated-5", 1);
  const auto rank = SetUpRank(message_, store_);
  ASSERT_TRUE(rank.ok()) << rank.status();
  EXPECT_EQ(rank->backend->device(), 0);
  EXPECT_THAT(rank->backend->instruction_set(), HasSubstr("emulated device 5"));
  EXPECT_EQ(rank->context.dtype, kernels::DType::kBF16);
  EXPECT_EQ(rank->context.group, nullptr);
}

TEST_F(GpuRankSetupTest, SeveralGpusOrAnyGpuAreRefused) {
  for (const char* visible : {"GPU-emulated-5,GPU-emulated-6", ""}) {
    setenv("CUDA_VISIBLE_DEVICES", visible, 1);
    const absl::Status refused = SetUpRank(message_, store_).status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(refused.message()), HasSubstr("one GPU"));
  }
}

TEST_F(GpuRankSetupTest, CpuRanksNeedNoGpu) {
  message_.mutable_assignment()
      ->mutable_spec()
      ->mutable_resources()
      ->set_backend("cpu");
  EXPECT_TRUE(SetUpRank(message_, store_).ok());
}

TEST_F(GpuRankSetupTest, PrecisionsOfAnotherBackendAreRefused) {
  setenv("CUDA_VISIBLE_DEVICES", "GPU-emulated-0", 1);
  message_.mutable_assignment()
      ->mutable_spec()
      ->mutable_generate()
      ->set_precision(v1::F64);
  const absl::Status refused = SetUpRank(message_, store_).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("BF16 and F32"));
}

}  // namespace
}  // namespace longspan::worker
