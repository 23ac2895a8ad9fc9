#include <cstdint>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "kernels/cuda/cuda_memory.h"
#include "tests/kernels/cuda/host/host_test.h"
#include "tests/support/cuda_emulator/emulated_memory.h"

namespace longspan::kernels::cuda {
namespace {

using testing::Each;
using testing::ElementsAre;

using MemoryTest = HostTest;
using MemoryDeathTest = HostTest;

TEST_F(MemoryTest, CopiesThereAndBack) {
  const std::vector<int32_t> values = {3, 1, 4, 1, 5};
  EXPECT_EQ(Download(Upload(values), 5), values);
}

TEST_F(MemoryTest, IsZeroAlsoWhenItIsUsedAgain) {
  DeviceMemory& memory = backend_->memory();
  for (int round = 0; round < 2; ++round) {
    const auto data = memory.Allocate(40);
    ASSERT_TRUE(data.ok());
    EXPECT_EQ(reinterpret_cast<uintptr_t>(*data) % 256, 0u);
    auto* const floats = static_cast<float*>(*data);
    EXPECT_THAT(Download(floats, 10), Each(0.0f));
    const std::vector<float> ones(10, 1.0f);
    ASSERT_TRUE(memory.CopyToDevice(ones.data(), floats, 40, *stream_).ok());
    memory.Free(floats, 40);
  }
}

TEST_F(MemoryTest, CountsWhatIsHeldAndTheMostThatWas) {
  CudaMemory memory(0, 1 << 30);
  const auto first = memory.Allocate(1000);
  const auto second = memory.Allocate(500);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(memory.used_bytes(), 1500);
  memory.Free(*first, 1000);
  EXPECT_EQ(memory.used_bytes(), 500);
  EXPECT_EQ(memory.pooled_bytes(), 1024);
  const auto third = memory.Allocate(900);
  ASSERT_TRUE(third.ok());
  EXPECT_EQ(*third, *first);  // both round to 1024: taken from the pool
  EXPECT_EQ(memory.pooled_bytes(), 0);
  EXPECT_EQ(memory.high_water_bytes(), 1500);
  EXPECT_EQ(memory.total_bytes(), 1 << 30);
  memory.Free(*second, 500);
  memory.Free(*third, 900);
  EXPECT_EQ(memory.used_bytes(), 0);
}

TEST_F(MemoryTest, SaysHowMuchIsMissing) {
  DeviceMemory& memory = backend_->memory();
  const auto refused = memory.Allocate(emulated::DeviceHeap::kBytes);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.status().message()),
              testing::HasSubstr(std::to_string(emulated::DeviceHeap::kBytes)));
  EXPECT_EQ(memory.used_bytes(), 0);
}

TEST_F(MemoryTest, NothingIsNull) {
  const auto nothing = backend_->memory().Allocate(0);
  ASSERT_TRUE(nothing.ok());
  EXPECT_EQ(*nothing, nullptr);
  backend_->memory().Free(*nothing, 0);
}

TEST_F(MemoryDeathTest, HostCodeMayNotFollowDevicePointers) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  float* const data = Upload<float>({1.0f});
  EXPECT_DEATH({ *static_cast<volatile float*>(data) = 2.0f; }, "");
  emulated::DeviceAccess access;
  EXPECT_EQ(*data, 1.0f);
}

}  // namespace
}  // namespace longspan::kernels::cuda
