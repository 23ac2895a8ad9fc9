#include "kernels/select/backend_registry.h"

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace longspan::kernels {
namespace {

TEST(BackendRegistry, CreatesTheBackendsOfThisBuild) {
  const auto cpu = CreateBackend(BackendKind::kCpu);
  ASSERT_TRUE(cpu.ok());
  EXPECT_EQ((*cpu)->name(), "cpu");
  EXPECT_THAT((*cpu)->instruction_set(),
              testing::AnyOf("baseline", "avx2", "avx512"));
  const auto reference = CreateBackend(BackendKind::kReference);
  ASSERT_TRUE(reference.ok());
  EXPECT_EQ((*reference)->name(), "reference");
}

// Not in this build, or no driver or device on this machine.
TEST(BackendRegistry, CreatesCudaOrSaysWhyNot) {
  const auto cuda = CreateBackend(BackendKind::kCuda);
  if (cuda.ok()) {
    EXPECT_EQ((*cuda)->name(), "cuda");
    return;
  }
  EXPECT_EQ(cuda.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(cuda.status().message()),
              testing::AnyOf(testing::HasSubstr("no CUDA backend"),
                             testing::HasSubstr("CUDA: counting devices")));
}

TEST(BackendRegistry, StreamsNeedAThread) {
  for (BackendKind kind : {BackendKind::kCpu, BackendKind::kReference}) {
    const auto backend = CreateBackend(kind);
    ASSERT_TRUE(backend.ok());
    EXPECT_EQ((*backend)->CreateStream(0).status().code(),
              absl::StatusCode::kInvalidArgument);
    const auto stream = (*backend)->CreateStream(2);
    ASSERT_TRUE(stream.ok());
    EXPECT_TRUE((*stream)->Synchronize().ok());
  }
}

}  // namespace
}  // namespace longspan::kernels
