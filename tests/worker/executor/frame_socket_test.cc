#include "worker/executor/frame_socket.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

namespace longspan::worker {
namespace {

struct Pair {
  Pair() {
    int fds[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    near = fds[0];
    far = UniqueFd(fds[1]);
  }
  int near = -1;
  UniqueFd far;
};

TEST(FrameSocketTest, CarriesFramesOfAnySize) {
  Pair pair;
  FrameSocket near{UniqueFd(pair.near)};
  FrameSocket far{std::move(pair.far)};
  const std::string large(3 << 20, 'x');
  std::thread writer([&] {
    EXPECT_TRUE(near.Write("").ok());
    EXPECT_TRUE(near.Write("abc").ok());
    EXPECT_TRUE(near.Write(large).ok());
  });
  EXPECT_EQ(far.Read().value(), "");
  EXPECT_EQ(far.Read().value(), "abc");
  EXPECT_EQ(far.Read().value(), large);
  writer.join();
}

TEST(FrameSocketTest, PrefixIsLittleEndian) {
  Pair pair;
  FrameSocket near{UniqueFd(pair.near)};
  ASSERT_TRUE(near.Write("hello").ok());
  char bytes[16];
  ASSERT_EQ(::read(pair.far.get(), bytes, sizeof(bytes)), 9);
  EXPECT_EQ(std::string(bytes, 9), std::string("\5\0\0\0hello", 9));
}

TEST(FrameSocketTest, EndBetweenFramesIsOutOfRange) {
  Pair pair;
  FrameSocket near{UniqueFd(pair.near)};
  pair.far.Reset();
  EXPECT_EQ(near.Read().status().code(), absl::StatusCode::kOutOfRange);
}

TEST(FrameSocketTest, EndWithinAFrameIsDataLoss) {
  Pair pair;
  FrameSocket near{UniqueFd(pair.near)};
  ASSERT_EQ(::write(pair.far.get(), "\5\0\0\0he", 6), 6);
  pair.far.Reset();
  EXPECT_EQ(near.Read().status().code(), absl::StatusCode::kDataLoss);
}

TEST(FrameSocketTest, RefusesAnnouncedSizesAboveTheLimit) {
  Pair pair;
  FrameSocket near{UniqueFd(pair.near)};
  ASSERT_EQ(::write(pair.far.get(), "\1\0\0\4", 4), 4);  // 64 MiB + 1
  const absl::Status status = near.Read().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()),
              testing::HasSubstr("67108865 bytes"));
}

TEST(FrameSocketTest, WriteToAClosedEndIsAValueNotASignal) {
  Pair pair;
  FrameSocket near{UniqueFd(pair.near)};
  pair.far.Reset();
  EXPECT_EQ(near.Write("abc").code(), absl::StatusCode::kUnavailable);
}

TEST(FrameSocketTest, ShutdownEndsABlockedRead) {
  Pair pair;
  FrameSocket near{UniqueFd(pair.near)};
  std::thread stopper([&] { near.Shutdown(); });
  EXPECT_EQ(near.Read().status().code(), absl::StatusCode::kOutOfRange);
  stopper.join();
}

}  // namespace
}  // namespace longspan::worker
