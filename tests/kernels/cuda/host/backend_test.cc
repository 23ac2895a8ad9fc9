#include <cstdlib>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "kernels/cuda/cuda_status.h"
#include "kernels/cuda/device_uuid.h"
#include "kernels/select/backend_registry.h"
#include "tests/kernels/cuda/host/host_test.h"

namespace longspan::kernels::cuda {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(CudaBackend, IsChosenByTheLink) {
  const auto backend = CreateBackend(BackendKind::kCuda, 3);
  ASSERT_TRUE(backend.ok()) << backend.status();
  EXPECT_EQ((*backend)->name(), "cuda");
  EXPECT_EQ((*backend)->device(), 3);
  EXPECT_THAT((*backend)->instruction_set(),
              AllOf(HasSubstr("emulated device 3"), HasSubstr("9.0")));
  EXPECT_FALSE((*backend)->memory().host_accessible());
}

TEST(CudaBackend, RefusesDevicesThatAreNotThere) {
  for (int device : {-1, 8}) {
    const auto backend = CreateBackend(BackendKind::kCuda, device);
    EXPECT_EQ(backend.status().code(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(std::string(backend.status().message()),
                AllOf(HasSubstr("device " + std::to_string(device)),
                      HasSubstr("sees 8")));
  }
}

TEST(CudaBackend, RefusesDevicesThatThisBuildHasNoCodeFor) {
  setenv("LONGSPAN_EMULATED_CAPABILITIES", "9.0,7.5", 1);
  const auto backend = CreateBackend(BackendKind::kCuda, 1);
  unsetenv("LONGSPAN_EMULATED_CAPABILITIES");
  EXPECT_EQ(backend.status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(backend.status().message()),
              AllOf(HasSubstr("emulated device 1"), HasSubstr("7.5"),
                    HasSubstr("8.x and 9.0")));
}

TEST(DeviceUuid, SlicesOfAGpuHaveAPrefixOfTheirOwn) {
  const char bytes[] =
      "\x8d\x2a\x71\xc4\x00\x01\x02\x03"
      "\x04\x05\x06\x07\x08\x09\x0a\xff";
  const std::string digits = "8d2a71c4-0001-0203-0405-060708090aff";
  EXPECT_EQ(DeviceUuid("NVIDIA H200", bytes), "GPU-" + digits);
  EXPECT_EQ(DeviceUuid("NVIDIA H100 80GB HBM3 MIG 1g.10gb", bytes),
            "MIG-" + digits);
}

TEST(CudaBackend, StreamsNeedAThread) {
  const auto backend = CreateBackend(BackendKind::kCuda);
  ASSERT_TRUE(backend.ok());
  EXPECT_EQ((*backend)->CreateStream(0).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(CudaStatus, NamesTheCallAndWhatToDo) {
  EXPECT_TRUE(StatusOfError(kSuccess, "a call").ok());
  const absl::Status status =
      StatusOfError(kErrorInsufficientDriver, "counting devices", "too old");
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("counting devices"), HasSubstr("35"),
                    HasSubstr("too old"), HasSubstr("driver")));
  EXPECT_EQ(StatusOfError(kErrorMemoryAllocation, "x").code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(StatusOfError(kErrorNoKernelImage, "x").code(),
            absl::StatusCode::kUnimplemented);
  EXPECT_EQ(StatusOfError(kErrorIllegalAddress, "x").code(),
            absl::StatusCode::kInternal);
}

TEST(CudaStatus, NamesTheLaunch) {
  const absl::Status status =
      LaunchStatus(kErrorInvalidValue, "FoldKernel",
                   {.blocks = 7, .threads = 2048, .shared_bytes = 99});
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("FoldKernel"), HasSubstr("7 blocks"),
                    HasSubstr("2048 threads"), HasSubstr("99 B")));
}

TEST(CudaStatus, NamesSharedMemoryThatTheGpuLacks) {
  const absl::Status status =
      LaunchStatus(kErrorInvalidValue, "SoftmaxForwardKernel",
                   {.blocks = 7, .threads = 128, .shared_bytes = 166000});
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("SoftmaxForwardKernel: needs 166000 B"),
                    HasSubstr("8.6 and 8.9: 101376")));
}

}  // namespace
}  // namespace longspan::kernels::cuda
