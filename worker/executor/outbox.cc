#include "worker/executor/outbox.h"

#include <chrono>
#include <utility>

namespace longspan::worker {

Outbox::Outbox(Write write, OutboxOptions options)
    : write_(std::move(write)), options_(options) {
  writer_ = std::thread([this] { WriteFrames(); });
}

Outbox::~Outbox() {
  {
    MutexLock lock(mu_);
    closing_ = true;
    changed_.NotifyAll();
  }
  writer_.join();
}

void Outbox::Push(Frame frame) {
  if (!error_.ok()) return;
  waiting_bytes_ += frame.bytes.size();
  frames_.push_back(std::move(frame));
  changed_.NotifyAll();
}

void Outbox::Send(std::string frame) {
  MutexLock lock(mu_);
  Push({std::move(frame), false});
}

void Outbox::SendLatest(std::string frame) {
  MutexLock lock(mu_);
  for (Frame& waiting : frames_) {
    if (!waiting.replaceable) continue;
    waiting_bytes_ += frame.size() - waiting.bytes.size();
    waiting.bytes = std::move(frame);
    return;
  }
  Push({std::move(frame), true});
}

bool Outbox::TrySend(std::string frame) {
  MutexLock lock(mu_);
  if (waiting_bytes_ > options_.droppable_bytes) return false;
  Push({std::move(frame), false});
  return true;
}

absl::Status Outbox::Flush(absl::Duration timeout) {
  const auto deadline =
      std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(timeout);
  MutexLock lock(mu_);
  while (error_.ok() && (writing_ || !frames_.empty())) {
    if (!changed_.WaitUntil(mu_, deadline)) {
      return absl::DeadlineExceededError(
          "the agent does not read the executor's messages");
    }
  }
  return error_;
}

void Outbox::WriteFrames() {
  mu_.Lock();
  while (true) {
    while (frames_.empty() && !closing_) changed_.Wait(mu_);
    if (frames_.empty() || !error_.ok()) break;
    Frame frame = std::move(frames_.front());
    frames_.pop_front();
    waiting_bytes_ -= frame.bytes.size();
    writing_ = true;
    mu_.Unlock();
    absl::Status status = write_(frame.bytes);
    mu_.Lock();
    writing_ = false;
    if (!status.ok()) {
      error_ = status;
      frames_.clear();
      waiting_bytes_ = 0;
    }
    changed_.NotifyAll();
  }
  mu_.Unlock();
}

}  // namespace longspan::worker
