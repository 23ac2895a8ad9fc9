// The GPUs of a worker, on the emulator, whose eight devices have names like
// GPU-emulated-0.
#include <cstdlib>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "worker/agent/device_inventory.h"

namespace longspan::worker {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int64_t kGiB = int64_t{1} << 30;

class GpuInventoryTest : public ::testing::Test {
 protected:
  void TearDown() override {
    unsetenv("CUDA_VISIBLE_DEVICES");
    unsetenv("LONGSPAN_EMULATED_CAPABILITIES");
    unsetenv("LONGSPAN_NCCL_LIBRARY");
  }
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
  EXPECT_EQ(whole->devices(0).memory_bytes(), 6 * kGiB) << "of 8 GiB";
  ASSERT_EQ(halves->devices_size(), 2);
  for (const v1::Device& device : halves->devices()) {
    EXPECT_EQ(device.uuid(), "GPU-emulated-1");
    EXPECT_EQ(device.memory_bytes(), 2 * kGiB) << "of 4 GiB";
  }
}

TEST_F(GpuInventoryTest, SmallPartsAndGivenSizesAreStillOffered) {
  setenv("CUDA_VISIBLE_DEVICES", "GPU-emulated-1", 1);
  const auto eighths = ProbeDevices({.devices = "cuda", .slots_per_device = 8});
  const auto given =
      ProbeDevices({.devices = "cuda", .memory_per_slot = 8 * kGiB});
  ASSERT_TRUE(eighths.ok() && given.ok());
  EXPECT_EQ(eighths->devices(7).memory_bytes(), kGiB / 2);
  EXPECT_EQ(given->devices(0).memory_bytes(), 8 * kGiB);
}

TEST_F(GpuInventoryTest, GpusWithoutCodeAreLeftOutWithASentence) {
  setenv("LONGSPAN_EMULATED_CAPABILITIES", "7.5,8.6,10.0,9.0", 1);
  setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3", 1);
  std::vector<std::string> notes;
  const auto info = ProbeDevices({.devices = "cuda"}, &notes);
  ASSERT_TRUE(info.ok()) << info.status();
  ASSERT_EQ(info->devices_size(), 2);
  EXPECT_EQ(info->devices(0).uuid(), "GPU-emulated-1");
  EXPECT_EQ(info->devices(1).uuid(), "GPU-emulated-3");
  EXPECT_EQ(info->devices(1).slot(), 1);
  EXPECT_THAT(notes, Contains(AllOf(HasSubstr("not offered"),
                                    HasSubstr("emulated device 0"),
                                    HasSubstr("compute capability 7.5"))));
  EXPECT_THAT(notes, Contains(HasSubstr("compute capability 10.0")));
}

TEST_F(GpuInventoryTest, NoUsableGpuIsNoGpu) {
  setenv("LONGSPAN_EMULATED_CAPABILITIES", "12.0", 1);
  setenv("CUDA_VISIBLE_DEVICES", "0", 1);
  const auto none = ProbeDevices({.devices = "cuda"});
  EXPECT_EQ(none.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(none.status().message()),
              HasSubstr("compute capability 12.0"));
}

TEST_F(GpuInventoryTest, WithoutGpusTheReasonOrTheCpu) {
  setenv("CUDA_VISIBLE_DEVICES", "", 1);
  const auto none = ProbeDevices({.devices = "cuda"});
  EXPECT_EQ(none.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(none.status().message().find("device"), std::string::npos);
  std::vector<std::string> notes;
  const auto otherwise = ProbeDevices({.devices = "auto"}, &notes);
  ASSERT_TRUE(otherwise.ok());
  EXPECT_EQ(otherwise->devices(0).kind(), "cpu");
  EXPECT_THAT(notes, ElementsAre(AllOf(HasSubstr("auto offers the CPU"),
                                       HasSubstr(none.status().message()))));
}

TEST_F(GpuInventoryTest, SaysWhyThereIsNoNccl) {
  setenv("LONGSPAN_NCCL_LIBRARY", "/nowhere/libnccl.so.2", 1);
  std::vector<std::string> notes;
  const auto info = ProbeDevices({.devices = "cuda"}, &notes);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->nccl_version(), "");
  EXPECT_THAT(notes, ElementsAre(AllOf(HasSubstr("jobs of one rank only"),
                                       HasSubstr("/nowhere/libnccl.so.2"))));
}

}  // namespace
}  // namespace longspan::worker
