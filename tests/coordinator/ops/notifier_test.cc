#include "coordinator/ops/notifier.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

namespace longspan::coordinator {
namespace {

TEST(NotifierTest, WakesItsTopicAndEverybody) {
  Notifier notifier;
  std::promise<void> a, all;
  std::atomic<int> b = 0;
  std::atomic<bool> a_called = false, all_called = false;
  auto on_a = notifier.Subscribe("a", [&] {
    if (!a_called.exchange(true)) a.set_value();
  });
  auto on_b = notifier.Subscribe("b", [&] { ++b; });
  auto on_all = notifier.Subscribe("", [&] {
    if (!all_called.exchange(true)) all.set_value();
  });
  notifier.Notify("a");
  a.get_future().wait();
  all.get_future().wait();
  EXPECT_EQ(b, 0);
}

TEST(NotifierTest, NoCallAfterTheSubscriptionEnded) {
  for (int i = 0; i < 50; ++i) {
    Notifier notifier;
    auto alive = std::make_unique<std::atomic<int>>(0);
    auto subscription =
        notifier.Subscribe("a", [counter = alive.get()] { ++*counter; });
    notifier.Notify("a");
    subscription.reset();
    alive.reset();  // a later call would touch freed memory
    notifier.Notify("a");
  }
}

TEST(NotifierTest, CallbacksMaySubscribeAndNotify) {
  Notifier notifier;
  std::promise<void> second;
  std::unique_ptr<Notifier::Subscription> inner;
  std::atomic<bool> once = false;
  auto outer = notifier.Subscribe("a", [&] {
    if (once.exchange(true)) return;
    inner = notifier.Subscribe("b", [&] { second.set_value(); });
    notifier.Notify("b");
  });
  notifier.Notify("a");
  second.get_future().wait();
}

}  // namespace
}  // namespace longspan::coordinator
