#include "common/base/mutex.h"

#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace longspan {
namespace {

class Box {
 public:
  void Put(int value) EXCLUDES(mu_) {
    MutexLock lock(mu_);
    value_ = value;
    full_.NotifyAll();
  }

  int Take() EXCLUDES(mu_) {
    MutexLock lock(mu_);
    while (value_ == 0) full_.Wait(mu_);
    const int value = value_;
    value_ = 0;
    return value;
  }

  // False if nothing came in time.
  bool TakeWithin(absl::Duration timeout) EXCLUDES(mu_) {
    MutexLock lock(mu_);
    while (value_ == 0) {
      if (!full_.WaitFor(mu_, timeout)) return false;
    }
    value_ = 0;
    return true;
  }

 private:
  Mutex mu_;
  CondVar full_;
  int value_ GUARDED_BY(mu_) = 0;
};

TEST(MutexTest, ExcludesThreads) {
  Mutex mu;
  int count = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) {
        MutexLock lock(mu);
        ++count;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count, 4000);
}

TEST(CondVarTest, WakesTheWaiter) {
  Box box;
  std::thread putter([&box] { box.Put(7); });
  EXPECT_EQ(box.Take(), 7);
  putter.join();
}

TEST(CondVarTest, TimesOut) {
  Box box;
  EXPECT_FALSE(box.TakeWithin(absl::Milliseconds(1)));
  EXPECT_FALSE(box.TakeWithin(absl::ZeroDuration()));
  EXPECT_FALSE(box.TakeWithin(-absl::Seconds(1)));
}

TEST(CondVarTest, InfiniteTimeoutWaitsForTheEvent) {
  Box box;
  std::thread putter([&box] { box.Put(1); });
  EXPECT_TRUE(box.TakeWithin(absl::InfiniteDuration()));
  putter.join();
}

}  // namespace
}  // namespace longspan
