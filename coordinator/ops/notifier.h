// Wakes streams when there may be something new for them. Streams pull what
// they send; a wake-up says only "look again", so none can be lost or queued
// without bound.
//
// Thread-safe. Callbacks run on the notifier's own thread, one at a time, with
// no lock of the core held.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>

#include "common/base/mutex.h"

namespace longspan::coordinator {

class Notifier {
 public:
  // Ends the subscription; afterwards its callback neither runs nor is
  // running. Must not be destroyed by its own callback.
  class Subscription {
   public:
    Subscription(Notifier& notifier, int64_t id)
        : notifier_(notifier), id_(id) {}
    ~Subscription() { notifier_.Unsubscribe(id_); }
    Subscription(const Subscription&) = delete;
    Subscription& operator=(const Subscription&) = delete;

   private:
    Notifier& notifier_;
    const int64_t id_;
  };

  Notifier();
  ~Notifier();
  Notifier(const Notifier&) = delete;
  Notifier& operator=(const Notifier&) = delete;

  // `topic` is a job's name; empty: every topic.
  std::unique_ptr<Subscription> Subscribe(const std::string& topic,
                                          std::function<void()> callback);

  // Returns at once. An empty topic wakes everybody.
  void Notify(const std::string& topic);

 private:
  struct Subscriber {
    std::string topic;
    std::function<void()> callback;
  };

  void Unsubscribe(int64_t id) EXCLUDES(mu_);
  void Run();
  void Deliver(const std::set<std::string>& topics) EXCLUDES(mu_);

  Mutex mu_;
  CondVar changed_;
  // Guarded by mu_.
  std::map<int64_t, std::shared_ptr<Subscriber>> subscribers_ GUARDED_BY(mu_);
  std::set<std::string> pending_ GUARDED_BY(mu_);
  int64_t next_id_ GUARDED_BY(mu_) = 1;
  int64_t delivering_ GUARDED_BY(mu_) = 0;  // id whose callback runs; 0: none
  bool stopping_ GUARDED_BY(mu_) = false;

  std::thread thread_;  // last: starts when all else is ready
};

}  // namespace longspan::coordinator
