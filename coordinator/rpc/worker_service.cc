#include "coordinator/rpc/worker_service.h"

#include <grpcpp/grpcpp.h>

#include <deque>
#include <utility>

#include "common/base/mutex.h"
#include "common/rpc/status.h"
#include "coordinator/ops/worker_operations.h"
#include "coordinator/rpc/authorization.h"
#include "longspan/v1/worker_service.grpc.pb.h"

namespace longspan::coordinator {
namespace {

// A worker that does not read for this long behind is cut off; it reconnects.
constexpr size_t kMaxQueuedMessages = 10000;

using Reactor =
    grpc::ServerBidiReactor<v1::WorkerMessage, v1::CoordinatorMessage>;

// The core's handle of a stream; outlives the stream's reactor.
class StreamLink final : public WorkerLink {
 public:
  explicit StreamLink(Reactor* reactor) : reactor_(reactor) {}

  void Send(const v1::CoordinatorMessage& message) override {
    MutexLock lock(mu_);
    if (reactor_ == nullptr || closing_) return;
    if (queue_.size() >= kMaxQueuedMessages) {
      return CloseLocked(absl::ResourceExhaustedError(
          "the worker does not read its messages: connect again"));
    }
    queue_.push_back(message);
    WriteNext();
  }

  void Close(const absl::Status& reason) override {
    MutexLock lock(mu_);
    CloseLocked(reason);
  }

  void OnWritten(bool ok) {
    MutexLock lock(mu_);
    writing_ = false;
    queue_.pop_front();
    if (!ok) queue_.clear();
    if (queue_.empty() && closing_) return FinishOnce();
    WriteNext();
  }

  // The reactor is about to be deleted.
  void Detach() {
    MutexLock lock(mu_);
    reactor_ = nullptr;
    queue_.clear();
  }

 private:
  void WriteNext() REQUIRES(mu_) {
    if (writing_ || queue_.empty()) return;
    writing_ = true;
    reactor_->StartWrite(&queue_.front());
  }

  void CloseLocked(const absl::Status& reason) REQUIRES(mu_) {
    if (reactor_ == nullptr || closing_) return;
    closing_ = true;
    reason_ = reason;
    if (queue_.empty()) FinishOnce();
  }

  void FinishOnce() REQUIRES(mu_) {
    if (finished_) return;
    finished_ = true;
    reactor_->Finish(ToGrpcStatus(reason_));
  }

  Mutex mu_;
  Reactor* reactor_ GUARDED_BY(mu_);  // null: gone
  // The front is being written while writing_.
  std::deque<v1::CoordinatorMessage> queue_ GUARDED_BY(mu_);
  bool writing_ GUARDED_BY(mu_) = false;
  bool closing_ GUARDED_BY(mu_) = false;
  bool finished_ GUARDED_BY(mu_) = false;
  absl::Status reason_ GUARDED_BY(mu_);
};

class WorkerStream final : public Reactor {
 public:
  WorkerStream(RpcContext& rpc, const absl::Status& authorized)
      : rpc_(rpc), link_(std::make_shared<StreamLink>(this)) {
    connection_ = OpenConnection(rpc_.core, link_);
    if (authorized.ok()) {
      StartRead(&incoming_);
    } else {
      link_->Close(authorized);
    }
  }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return link_->Close(absl::OkStatus());
    const absl::Status status = Guarded("Connect", [this] {
      return HandleWorkerMessage(rpc_.core, connection_, incoming_);
    });
    if (!status.ok()) return link_->Close(status);
    StartRead(&incoming_);
  }

  void OnWriteDone(bool ok) override { link_->OnWritten(ok); }

  void OnDone() override {
    link_->Detach();
    CloseConnection(rpc_.core, connection_);
    rpc_.core.probe.OnRpc("Connect", absl::StatusCode::kOk);
    delete this;
  }

  RpcContext& rpc_;
  const std::shared_ptr<StreamLink> link_;
  int64_t connection_ = 0;
  v1::WorkerMessage incoming_;
};

class WorkerServiceImpl final : public v1::WorkerService::CallbackService {
 public:
  explicit WorkerServiceImpl(RpcContext& rpc) : rpc_(rpc) {}

  Reactor* Connect(grpc::CallbackServerContext* context) override {
    return new WorkerStream(rpc_, Authorize(*context, rpc_.token));
  }

 private:
  RpcContext& rpc_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeWorkerService(RpcContext& context) {
  return std::make_unique<WorkerServiceImpl>(context);
}

}  // namespace longspan::coordinator
