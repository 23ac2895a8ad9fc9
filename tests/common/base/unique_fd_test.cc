#include "common/base/unique_fd.h"

#include <fcntl.h>

#include <utility>

#include "gtest/gtest.h"

namespace longspan {
namespace {

bool IsOpen(int fd) { return fcntl(fd, F_GETFD) != -1; }

UniqueFd OpenNull() {
  return UniqueFd(open("/dev/null", O_RDONLY | O_CLOEXEC));
}

TEST(UniqueFdTest, ClosesWhenItEnds) {
  int raw = -1;
  {
    const UniqueFd fd = OpenNull();
    ASSERT_TRUE(fd.valid());
    raw = fd.get();
    EXPECT_TRUE(IsOpen(raw));
  }
  EXPECT_FALSE(IsOpen(raw));
}

TEST(UniqueFdTest, MovesOwnership) {
  UniqueFd first = OpenNull();
  const int raw = first.get();
  UniqueFd second = std::move(first);
  EXPECT_EQ(second.get(), raw);
  UniqueFd third = OpenNull();
  const int replaced = third.get();
  third = std::move(second);
  EXPECT_EQ(third.get(), raw);
  EXPECT_FALSE(IsOpen(replaced));
}

TEST(UniqueFdTest, ReleaseAndReset) {
  UniqueFd fd = OpenNull();
  UniqueFd owner(fd.Release());
  EXPECT_FALSE(fd.valid());
  const int raw = owner.get();
  EXPECT_TRUE(IsOpen(raw));
  owner.Reset();
  EXPECT_FALSE(IsOpen(raw));
}

}  // namespace
}  // namespace longspan
