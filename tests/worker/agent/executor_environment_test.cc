#include "worker/agent/executor_environment.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace longspan::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

v1::WorkerInfo WorkerWith(const std::string& kind,
                          const std::vector<std::string>& uuids) {
  v1::WorkerInfo info;
  info.set_hostname("node");
  for (const std::string& uuid : uuids) {
    v1::Device* device = info.add_devices();
    device->set_slot(info.devices_size() - 1);
    device->set_kind(kind);
    device->set_uuid(uuid);
  }
  return info;
}

TEST(ExecutorEnvironmentTest, SlotsSeeTheirOwnGpu) {
  const v1::WorkerInfo info = WorkerWith("cuda", {"GPU-a", "GPU-b"});
  EXPECT_THAT(SlotEnvironment(info, 1),
              ElementsAre("CUDA_VISIBLE_DEVICES=GPU-b"));
}

TEST(ExecutorEnvironmentTest, CpuSlotsSetNothing) {
  EXPECT_THAT(SlotEnvironment(WorkerWith("cpu", {"", ""}), 1), IsEmpty());
}

TEST(ExecutorEnvironmentTest, SlotsOfOneGpuAreHostsToNccl) {
  const v1::WorkerInfo info = WorkerWith("cuda", {"GPU-a", "GPU-a", "GPU-b"});
  const auto of = [](const std::string& host) {
    return ElementsAre("CUDA_VISIBLE_DEVICES=GPU-a", "NCCL_HOSTID=" + host,
                       "NCCL_P2P_DISABLE=1", "NCCL_SHM_DISABLE=1",
                       "NCCL_NET=Socket");
  };
  EXPECT_THAT(SlotEnvironment(info, 0), of("longspan-node-GPU-a-0"));
  EXPECT_THAT(SlotEnvironment(info, 1), of("longspan-node-GPU-a-1"));
  EXPECT_THAT(SlotEnvironment(info, 2),
              ElementsAre("CUDA_VISIBLE_DEVICES=GPU-b"));
}

// getenv() finds the first of two, so that no name may come twice.
TEST(ExecutorEnvironmentTest, LaterSettingsReplaceEarlierOnes) {
  v1::JobSpec spec;
  (*spec.mutable_env())["NCCL_DEBUG"] = "INFO";
  (*spec.mutable_env())["NCCL_NET"] = "IB";
  (*spec.mutable_env())["CUDA_VISIBLE_DEVICES"] = "7";
  (*spec.mutable_env())["LD_PRELOAD"] = "x.so";
  const v1::WorkerInfo info = WorkerWith("cuda", {"GPU-a", "GPU-a"});
  EXPECT_THAT(ExecutorEnvironment({"CUDA_VISIBLE_DEVICES=0,1",
                                   "NCCL_DEBUG=WARN", "PATH=/bin:/x=y"},
                                  spec, info, 0),
              ElementsAre("CUDA_VISIBLE_DEVICES=GPU-a", "NCCL_DEBUG=INFO",
                          "NCCL_HOSTID=longspan-node-GPU-a-0",
                          "NCCL_NET=Socket", "NCCL_P2P_DISABLE=1",
                          "NCCL_SHM_DISABLE=1", "PATH=/bin:/x=y"));
}

}  // namespace
}  // namespace longspan::worker
