#include "worker/agent/coordinator_link.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/log/log.h"
#include "common/rpc/channel.h"
#include "common/rpc/status.h"
#include "grpcpp/grpcpp.h"
#include "longspan/v1/worker_service.grpc.pb.h"

namespace longspan::worker {
namespace {

// How long a dial may take until the coordinator has answered it.
constexpr absl::Duration kConnectTimeout = absl::Seconds(10);

double Jitter() {
  thread_local std::minstd_rand random(std::random_device{}());
  return std::uniform_real_distribution<double>(0.8, 1.2)(random);
}

}  // namespace

struct CoordinatorLink::Stub {
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::WorkerService::Stub> stub;
};

struct CoordinatorLink::Session {
  grpc::ClientContext context;
  std::unique_ptr<
      grpc::ClientReaderWriter<v1::WorkerMessage, v1::CoordinatorMessage>>
      stream;
  std::thread writer;
  bool over = false;  // guarded by the link's mu_
};

CoordinatorLink::CoordinatorLink(CoordinatorLinkOptions options,
                                 CoordinatorLinkHandlers handlers)
    : options_(std::move(options)),
      handlers_(std::move(handlers)),
      stub_(std::make_unique<Stub>()) {
  ChannelOptions channel;
  channel.token = options_.token;
  stub_->channel = CreateChannel(options_.coordinator, channel);
  stub_->stub = v1::WorkerService::NewStub(stub_->channel);
}

CoordinatorLink::~CoordinatorLink() { Stop(absl::ZeroDuration()); }

void CoordinatorLink::Start() {
  dialer_ = std::thread([this] { DialForever(); });
}

void CoordinatorLink::BeginSession(v1::WorkerMessage registration) {
  MutexLock lock(mu_);
  if (session_ == nullptr || begun_) return;
  if (const int64_t dropped = queue_.TakeDropped(); dropped > 0) {
    LogWarning("log lines or tokens had to give way", {{"messages", dropped}});
  }
  queue_.StartSession();
  queue_.Push(Urgency::kLease, std::move(registration));
  begun_ = true;
  changed_.NotifyAll();
}

void CoordinatorLink::Send(Urgency urgency, v1::WorkerMessage message,
                           const std::string& replaces) {
  MutexLock lock(mu_);
  queue_.Push(urgency, std::move(message), replaces);
  changed_.NotifyAll();
}

void CoordinatorLink::Reconnect() {
  MutexLock lock(mu_);
  if (session_ != nullptr) session_->context.TryCancel();
}

void CoordinatorLink::Stop(absl::Duration flush_timeout) {
  const auto deadline = std::chrono::steady_clock::now() +
                        absl::ToChronoNanoseconds(flush_timeout);
  {
    MutexLock lock(mu_);
    closing_ = true;
    changed_.NotifyAll();
    while (session_ != nullptr && begun_) {
      if (!changed_.WaitUntil(mu_, deadline)) break;
    }
    if (session_ != nullptr) session_->context.TryCancel();
  }
  if (dialer_.joinable()) dialer_.join();
}

void CoordinatorLink::DialForever() {
  absl::Duration backoff = options_.first_backoff;
  do {
    const bool registered = RunSession();
    backoff = registered ? options_.first_backoff
                         : std::min(backoff * 1.6, options_.longest_backoff);
  } while (WaitToDial(backoff * Jitter()));
}

bool CoordinatorLink::WaitToDial(absl::Duration backoff) {
  const auto deadline =
      std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(backoff);
  MutexLock lock(mu_);
  while (!closing_) {
    if (!changed_.WaitUntil(mu_, deadline)) return !closing_;
  }
  return false;
}

// Short waits, so that a link that closes need not wait for the network.
bool CoordinatorLink::Dial() {
  const auto deadline = std::chrono::steady_clock::now() +
                        absl::ToChronoNanoseconds(kConnectTimeout);
  while (std::chrono::steady_clock::now() < deadline) {
    if (stub_->channel->WaitForConnected(std::chrono::system_clock::now() +
                                         std::chrono::milliseconds(100))) {
      return true;
    }
    MutexLock lock(mu_);
    if (closing_) return false;
  }
  return false;
}

// Returns whether the coordinator accepted the registration.
bool CoordinatorLink::RunSession() {
  if (!Dial()) {
    handlers_.on_session_end(absl::UnavailableError(
        absl::StrCat("no coordinator answers at ", options_.coordinator)));
    return false;
  }
  Session session;
  session.stream = stub_->stub->Connect(&session.context);
  {
    MutexLock lock(mu_);
    session_ = &session;
    begun_ = false;
    if (closing_) session.context.TryCancel();
  }
  session.writer = std::thread([&] { WriteMessages(&session); });
  handlers_.on_session();
  const bool registered = ReadMessages(&session);
  {
    MutexLock lock(mu_);
    session_ = nullptr;
    begun_ = false;
    session.over = true;
    changed_.NotifyAll();
  }
  session.writer.join();  // the call is over, so a write in progress fails
  handlers_.on_session_end(FromGrpcStatus(session.stream->Finish()));
  return registered;
}

bool CoordinatorLink::ReadMessages(Session* session) {
  bool registered = false;
  v1::CoordinatorMessage message;
  while (session->stream->Read(&message)) {
    registered = registered || message.has_registered();
    handlers_.on_message(std::move(message));
    message.Clear();
  }
  return registered;
}

// Ends with the session, or, when the link closes, after the last message.
void CoordinatorLink::WriteMessages(Session* session) {
  while (true) {
    std::optional<v1::WorkerMessage> message;
    {
      MutexLock lock(mu_);
      while (!session->over && (!begun_ || (queue_.empty() && !closing_))) {
        changed_.Wait(mu_);
      }
      if (session->over) return;
      message = queue_.Pop();
    }
    if (!message.has_value()) {
      session->stream->WritesDone();
      return;
    }
    if (!session->stream->Write(*message)) return;
  }
}

}  // namespace longspan::worker
