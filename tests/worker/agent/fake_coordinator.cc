#include "tests/worker/agent/fake_coordinator.h"

#include <chrono>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"

namespace longspan::worker {

FakeCoordinator::FakeCoordinator(int port) {
  grpc::ServerBuilder builder;
  builder.AddListeningPort(absl::StrCat("127.0.0.1:", port),
                           grpc::InsecureServerCredentials(), &port_);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
  LONGSPAN_CHECK(server_ != nullptr && port_ != 0) << "port " << port;
  registered.mutable_lease()->set_seconds(5);
  registered.mutable_renew_interval()->set_nanos(50'000'000);
  registered.mutable_detached_timeout()->set_seconds(600);
}

FakeCoordinator::~FakeCoordinator() {
  server_->Shutdown(std::chrono::system_clock::now());
}

grpc::Status FakeCoordinator::Connect(grpc::ServerContext* context,
                                      Stream* stream) {
  {
    MutexLock lock(mu_);
    stream_ = stream;
    const auto header = context->client_metadata().find("authorization");
    if (header != context->client_metadata().end()) {
      authorization_.assign(header->second.data(), header->second.size());
    }
  }
  v1::WorkerMessage message;
  while (stream->Read(&message)) {
    MutexLock lock(mu_);
    v1::CoordinatorMessage reply;
    if (message.has_register_()) *reply.mutable_registered() = registered;
    if (message.has_renew_lease()) {
      reply.mutable_lease_renewed()->set_sequence(
          message.renew_lease().sequence());
    }
    if (reply.message_case() != 0) stream->Write(reply);
    messages_.push_back(message);
    changed_.NotifyAll();
  }
  MutexLock lock(mu_);
  if (stream_ == stream) stream_ = nullptr;
  return grpc::Status::OK;
}

v1::WorkerMessage FakeCoordinator::Await(const std::string& what,
                                         const Predicate& fits) {
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::seconds(20);
  MutexLock lock(mu_);
  while (true) {
    for (auto it = messages_.begin(); it != messages_.end(); ++it) {
      if (!fits(*it)) continue;
      v1::WorkerMessage message = *it;
      messages_.erase(it);
      return message;
    }
    const bool woken = changed_.WaitUntil(mu_, deadline);
    LONGSPAN_CHECK(woken) << "waited in vain for " << what;
  }
}

bool FakeCoordinator::NoneWithin(absl::Duration time, const Predicate& fits) {
  const auto deadline =
      std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(time);
  MutexLock lock(mu_);
  while (true) {
    for (const v1::WorkerMessage& message : messages_) {
      if (fits(message)) return false;
    }
    if (!changed_.WaitUntil(mu_, deadline)) return true;
  }
}

v1::Register FakeCoordinator::AwaitRegister() {
  return Await("Register",
               [](const auto& message) { return message.has_register_(); })
      .register_();
}

v1::AssignmentStatus FakeCoordinator::AwaitStatus(
    v1::AssignmentStatus::State state) {
  return Await(v1::AssignmentStatus::State_Name(state),
               [=](const auto& message) {
                 return message.has_assignment_status() &&
                        message.assignment_status().state() == state;
               })
      .assignment_status();
}

void FakeCoordinator::Send(const v1::CoordinatorMessage& message) {
  MutexLock lock(mu_);
  LONGSPAN_CHECK(stream_ != nullptr) << "no worker is connected";
  stream_->Write(message);
}

std::string FakeCoordinator::authorization() {
  MutexLock lock(mu_);
  return authorization_;
}

}  // namespace longspan::worker
