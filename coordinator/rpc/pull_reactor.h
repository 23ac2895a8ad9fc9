// Sends a PullStream over a server-streaming call: one message in flight, the
// next pulled when it is written, so a slow reader costs one message of memory.
//
// Deletes itself when the call is done. Thread-safe.
#pragma once

#include <grpcpp/support/server_callback.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "common/rpc/status.h"
#include "coordinator/ops/pull_stream.h"
#include "coordinator/rpc/handler.h"

namespace longspan::coordinator {

template <typename T>
class PullReactor final : public grpc::ServerWriteReactor<T> {
 public:
  using Stream = std::unique_ptr<PullStream<T>>;

  PullReactor(RpcContext& context, const char* method,
              absl::StatusOr<Stream> stream)
      : context_(context), method_(method) {
    if (!stream.ok()) {
      End(stream.status());
      return;
    }
    stream_ = *std::move(stream);
    subscription_ =
        context.core.notifier.Subscribe(stream_->Topic(), [this] { Pump(); });
    Pump();
  }

 private:
  void OnWriteDone(bool ok) override {
    {
      MutexLock lock(mu_);
      busy_ = false;
      if (!ok) gone_ = true;
    }
    Pump();
  }

  void OnCancel() override {
    {
      MutexLock lock(mu_);
      gone_ = true;
    }
    Pump();
  }

  void OnDone() override {
    subscription_.reset();  // waits for a wake-up under way
    delete this;
  }

  // Writes the next message if none is being written.
  void Pump() EXCLUDES(mu_) {
    while (Claim()) {
      absl::Status end;
      if (Gone()) {
        if (stream_ != nullptr) stream_->Cancelled();
        return End(absl::CancelledError("the caller went away"));
      }
      PullState state = PullState::kEnd;
      const absl::Status guarded = Guarded(method_, [&] {
        state = stream_->Next(&item_, &end);
        return absl::OkStatus();
      });
      if (!guarded.ok()) return End(guarded);
      if (state == PullState::kItem) return this->StartWrite(&item_);
      if (state == PullState::kEnd) return End(end);
      if (!Yield()) return;
    }
  }

  // True if this thread may pull.
  bool Claim() EXCLUDES(mu_) {
    MutexLock lock(mu_);
    again_ = true;
    if (busy_ || ended_) return false;
    busy_ = true;
    again_ = false;
    return true;
  }

  // Gives the claim up; true if somebody asked meanwhile.
  bool Yield() EXCLUDES(mu_) {
    MutexLock lock(mu_);
    busy_ = false;
    return again_;
  }

  bool Gone() EXCLUDES(mu_) {
    MutexLock lock(mu_);
    return gone_;
  }

  void End(const absl::Status& status) EXCLUDES(mu_) {
    {
      MutexLock lock(mu_);
      ended_ = true;
    }
    context_.core.probe.OnRpc(method_, status.code());
    this->Finish(ToGrpcStatus(status));
  }

  // Immutable after construction.
  RpcContext& context_;
  const char* const method_;
  Stream stream_;
  std::unique_ptr<Notifier::Subscription> subscription_;

  // Of the thread that has the claim.
  T item_;

  Mutex mu_;
  bool busy_ GUARDED_BY(mu_) = false;   // pulling or writing
  bool again_ GUARDED_BY(mu_) = false;  // asked while busy
  bool gone_ GUARDED_BY(mu_) = false;
  bool ended_ GUARDED_BY(mu_) = false;
};

}  // namespace longspan::coordinator
