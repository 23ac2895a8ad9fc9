// A coordinator that only listens and says what a test tells it to.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "grpcpp/server.h"
#include "longspan/v1/worker_service.grpc.pb.h"

namespace longspan::worker {

class FakeCoordinator final : public v1::WorkerService::Service {
 public:
  using Predicate = std::function<bool(const v1::WorkerMessage&)>;

  // Port 0: the system chooses.
  explicit FakeCoordinator(int port = 0);
  ~FakeCoordinator() override;

  int port() const { return port_; }

  // How Register is answered; before the first worker dials.
  v1::Registered registered;

  // Takes the oldest message that fits, waiting for it; dies after 20 s.
  v1::WorkerMessage Await(const std::string& what, const Predicate& fits);
  v1::Register AwaitRegister();
  v1::AssignmentStatus AwaitStatus(v1::AssignmentStatus::State state);
  // True if no message that fits comes within `time`.
  bool NoneWithin(absl::Duration time, const Predicate& fits);

  void Send(const v1::CoordinatorMessage& message);
  std::string authorization();  // header of the newest stream

 private:
  using Stream =
      grpc::ServerReaderWriter<v1::CoordinatorMessage, v1::WorkerMessage>;

  grpc::Status Connect(grpc::ServerContext* context, Stream* stream) override;

  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;

  Mutex mu_;
  CondVar changed_;
  std::deque<v1::WorkerMessage> messages_ GUARDED_BY(mu_);
  Stream* stream_ GUARDED_BY(mu_) = nullptr;
  std::string authorization_ GUARDED_BY(mu_);
};

}  // namespace longspan::worker
