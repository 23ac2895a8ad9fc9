#include "coordinator/ops/notifier.h"

#include <utility>
#include <vector>

namespace longspan::coordinator {

Notifier::Notifier() : thread_([this] { Run(); }) {}

Notifier::~Notifier() {
  {
    MutexLock lock(mu_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
}

std::unique_ptr<Notifier::Subscription> Notifier::Subscribe(
    const std::string& topic, std::function<void()> callback) {
  MutexLock lock(mu_);
  const int64_t id = next_id_++;
  subscribers_[id] =
      std::make_shared<Subscriber>(Subscriber{topic, std::move(callback)});
  return std::make_unique<Subscription>(*this, id);
}

void Notifier::Unsubscribe(int64_t id) {
  MutexLock lock(mu_);
  subscribers_.erase(id);
  while (delivering_ == id) changed_.Wait(mu_);
}

void Notifier::Notify(const std::string& topic) {
  MutexLock lock(mu_);
  pending_.insert(topic);
  changed_.NotifyAll();
}

void Notifier::Run() {
  while (true) {
    std::set<std::string> topics;
    {
      MutexLock lock(mu_);
      while (pending_.empty() && !stopping_) changed_.Wait(mu_);
      if (stopping_) return;
      topics.swap(pending_);
    }
    Deliver(topics);
  }
}

void Notifier::Deliver(const std::set<std::string>& topics) {
  const bool everybody = topics.contains("");
  std::vector<int64_t> ids;
  {
    MutexLock lock(mu_);
    for (const auto& [id, subscriber] : subscribers_) {
      const std::string& topic = subscriber->topic;
      if (everybody || topic.empty() || topics.contains(topic)) {
        ids.push_back(id);
      }
    }
  }
  for (int64_t id : ids) {
    std::shared_ptr<Subscriber> subscriber;
    {
      MutexLock lock(mu_);
      auto found = subscribers_.find(id);
      if (found == subscribers_.end()) continue;
      subscriber = found->second;
      delivering_ = id;
    }
    subscriber->callback();
    MutexLock lock(mu_);
    delivering_ = 0;
    changed_.NotifyAll();
  }
}

}  // namespace longspan::coordinator
