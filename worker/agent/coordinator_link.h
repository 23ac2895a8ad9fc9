// The worker's stream to the coordinator: dials, and dials again, for ever.
//
// Each successful dial begins a session. The owner answers on_session with
// BeginSession(register); nothing else is sent before. When a session ends the
// link waits (0.2 s, growing to 5 s, with jitter) and dials again; a session
// that was registered resets the wait.
//
// Thread-safe. Handlers are called by the link's threads, one at a time and in
// order, and must not call Stop().
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "longspan/v1/worker_service.pb.h"
#include "worker/agent/outgoing_queue.h"

namespace longspan::worker {

struct CoordinatorLinkOptions {
  std::string coordinator;  // "host:port"
  std::string token;        // empty: none is sent
  absl::Duration first_backoff = absl::Milliseconds(200);
  absl::Duration longest_backoff = absl::Seconds(5);
};

struct CoordinatorLinkHandlers {
  std::function<void()> on_session;
  std::function<void(v1::CoordinatorMessage)> on_message;
  std::function<void(absl::Status)> on_session_end;
};

class CoordinatorLink {
 public:
  CoordinatorLink(CoordinatorLinkOptions options,
                  CoordinatorLinkHandlers handlers);
  ~CoordinatorLink();
  CoordinatorLink(const CoordinatorLink&) = delete;
  CoordinatorLink& operator=(const CoordinatorLink&) = delete;

  void Start();

  // The first message of the session that on_session announced.
  void BeginSession(v1::WorkerMessage registration) EXCLUDES(mu_);
  void Send(Urgency urgency, v1::WorkerMessage message,
            const std::string& replaces = "") EXCLUDES(mu_);

  // Gives the session up; the link dials again.
  void Reconnect() EXCLUDES(mu_);

  // Sends what waits and lets the coordinator end the stream, for at most this
  // long; then closes for good.
  void Stop(absl::Duration flush_timeout) EXCLUDES(mu_);

 private:
  struct Session;
  struct Stub;

  void DialForever();
  bool Dial() EXCLUDES(mu_);
  bool RunSession();
  bool ReadMessages(Session* session);
  void WriteMessages(Session* session);
  bool WaitToDial(absl::Duration backoff) EXCLUDES(mu_);

  // Immutable after construction.
  const CoordinatorLinkOptions options_;
  const CoordinatorLinkHandlers handlers_;
  std::unique_ptr<Stub> stub_;
  std::thread dialer_;

  Mutex mu_;
  CondVar changed_;
  bool closing_ GUARDED_BY(mu_) = false;
  bool begun_ GUARDED_BY(mu_) = false;
  Session* session_ GUARDED_BY(mu_) = nullptr;
  OutgoingQueue queue_ GUARDED_BY(mu_);
};

}  // namespace longspan::worker
