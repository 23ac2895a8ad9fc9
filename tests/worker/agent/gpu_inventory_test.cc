// The GPUs of a worker, on the emulator, whose eight devices have names like
// GPU-emulated-0.
#include <cstdlib>

#include "gtest/gtest.h"
#include "worker/agent/device_inventory.h"

namespace longspan::worker {
namespace {

class GpuInventoryTest : public ::testing::Test {
 protected:
  void TearDown() override { unsetenv("CUDA_VISIBLE_DEVICES"); }
};

TEST_F(GpuInventoryTest, EveryGpuIsASlot) {
  const auto info = ProbeDevices({.devices = "cuda", .threads_per_slot = 3});
  ASSERT_TRUE(info.ok()) << info.status();
  ASSERT_EQ(info->devices_size(), 8);
  for (int slot = 0; slot < 8; ++slot) {
    const v1::Device& device = info->devices(slot);
    EXPECT_EQ(device.slot(), slot);
    EXPECT_EQ(device.kind(), "cuda");
    EXPECT_EQ(device.uuid(), "GPU-emulated-" + std::to_string(slot));
    EXPECT_EQ(device.instruction_set(), "9.0");
    EXPECT_EQ(device.threads(), 3);
    EXPECT_GT(device.memory_bytes(), 0);
  }
}

TEST_F(GpuInventoryTest, OnlyGpusThatTheWorkerSeesAreOffered) {
  setenv("CUDA_VISIBLE_DEVICES", "GPU-emulated-5,GPU-emulated-2", 1);
  const auto info = ProbeDevices({.devices = "auto"});
  ASSERT_TRUE(info.ok()) << info.status();
  ASSERT_EQ(info->devices_size(), 2);
  EXPECT_EQ(info->devices(0).uuid(), "GPU-emulated-5");
  EXPECT_EQ(info->devices(1).uuid(), "GPU-emulated-2");
}

TEST_F(GpuInventoryTest, SlotsThatShareAGpuDivideItsMemory) {
  setenv("CUDA_VISIBLE_DEVICES", "GPU-emulated-1", 1);
  const auto whole = ProbeDevices({.devices = "cuda"});
  const auto halves = ProbeDevices({.devices = "cuda", .slots_per_device = 2});
  ASSERT_TRUE(whole.ok() && halves.ok());
  ASSERT_EQ(halves->devices_size(), 2);
  for (const v1::Device& device : halves->devices()) {
    EXPECT_EQ(device.uuid(), "GPU-emulated-1");
    EXPECT_EQ(device.memory_bytes(), whole->devices(0).memory_bytes() / 2);
  }
}

TEST_F(GpuInventoryTest, WithoutGpusTheReasonOrTheCpu) {
  setenv("CUDA_VISIBLE_DEVICES", "", 1);
  const auto none = ProbeDevices({.devices = "cuda"});
  EXPECT_EQ(none.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(none.status().message().find("device"), std::string::npos);
  const auto otherwise = ProbeDevices({.devices = "auto"});
  ASSERT_TRUE(otherwise.ok());
  EXPECT_EQ(otherwise->devices(0).kind(), "cpu");
}

}  // namespace
}  // namespace longspan::worker
