#include <memory>
#include <vector>

#include "gmock/gmock.h"
#include "tests/kernels/cuda/host/add_kernel.h"
#include "tests/kernels/cuda/host/host_test.h"

namespace longspan::kernels::cuda {
namespace {

using testing::Each;

class StreamTest : public HostTest {
 protected:
  static constexpr int64_t kCount = 100;

  void SetValue(float value) {
    ASSERT_TRUE(backend_->memory()
                    .CopyToDevice(&value, value_, sizeof(value), *stream_)
                    .ok());
  }

  float* x_ = Upload(std::vector<float>(kCount, 1.0f));
  float* value_ = Upload(std::vector<float>(1, 10.0f));
};

TEST_F(StreamTest, RunsKernels) {
  ASSERT_TRUE(LaunchAdd(x_, kCount, 0.5f, value_, *stream_).ok());
  EXPECT_THAT(Download(x_, kCount), Each(11.5f));
}

// A graph holds on to host numbers; device numbers are read when it runs.
TEST_F(StreamTest, GraphsFreezeHostNumbersOnly) {
  ASSERT_TRUE(stream_->can_capture());
  ASSERT_TRUE(stream_->BeginCapture().ok());
  {
    float host_value = 0.5f;
    ASSERT_TRUE(LaunchAdd(x_, kCount, host_value, value_, *stream_).ok());
    host_value = 99.0f;
  }
  auto graph = stream_->EndCapture();
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_THAT(Download(x_, kCount), Each(1.0f));
  ASSERT_TRUE((*graph)->Launch(*stream_).ok());
  EXPECT_THAT(Download(x_, kCount), Each(11.5f));
  SetValue(100.0f);
  ASSERT_TRUE((*graph)->Launch(*stream_).ok());
  EXPECT_THAT(Download(x_, kCount), Each(112.0f));
}

TEST_F(StreamTest, AStreamThatWaitsJoinsTheCapture) {
  const std::unique_ptr<Stream> side = NewStream();
  ASSERT_TRUE(stream_->BeginCapture().ok());
  ASSERT_TRUE(side->WaitFor(*stream_).ok());
  ASSERT_TRUE(LaunchAdd(x_, kCount, 0.0f, value_, *side).ok());
  ASSERT_TRUE(stream_->WaitFor(*side).ok());
  auto graph = stream_->EndCapture();
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_THAT(Download(x_, kCount), Each(1.0f));
  ASSERT_TRUE((*graph)->Launch(*stream_).ok());
  EXPECT_THAT(Download(x_, kCount), Each(11.0f));
  // Not part of a capture any more.
  ASSERT_TRUE(LaunchAdd(x_, kCount, 0.0f, value_, *side).ok());
  EXPECT_THAT(Download(x_, kCount), Each(21.0f));
}

TEST_F(StreamTest, AStreamThatJoinedMustBeWaitedFor) {
  const std::unique_ptr<Stream> side = NewStream();
  ASSERT_TRUE(stream_->BeginCapture().ok());
  ASSERT_TRUE(side->WaitFor(*stream_).ok());
  ASSERT_TRUE(LaunchAdd(x_, kCount, 0.0f, value_, *side).ok());
  EXPECT_FALSE(stream_->EndCapture().ok());
}

TEST_F(StreamTest, ACaptureAllowsNoSynchronisationCopyOrAllocation) {
  ASSERT_TRUE(stream_->BeginCapture().ok());
  EXPECT_FALSE(stream_->Synchronize().ok());
  EXPECT_FALSE(stream_->EndCapture().ok());

  ASSERT_TRUE(stream_->BeginCapture().ok());
  const float one = 1.0f;
  EXPECT_FALSE(
      backend_->memory().CopyToDevice(&one, x_, sizeof(one), *stream_).ok());
  EXPECT_FALSE(stream_->EndCapture().ok());

  ASSERT_TRUE(stream_->BeginCapture().ok());
  EXPECT_FALSE(backend_->memory().Allocate(12345).ok());
  EXPECT_TRUE(stream_->EndCapture().ok());
  EXPECT_FALSE(stream_->EndCapture().ok());
}

}  // namespace
}  // namespace longspan::kernels::cuda
