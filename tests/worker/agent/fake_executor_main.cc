// An executor for tests of the agent: it computes nothing, but speaks the
// protocol. What it does is the name of the job:
//
//   succeed     reports, then finishes well
//   wait        runs until it is asked to stop, then finishes as cancelled
//   stubborn    ignores Stop, SIGTERM and the end of its socket
//   crash       kills itself when started
//   exit-early  exits with status 3 before it is prepared
//   rendezvous  sets a key, gets it back, and finishes with its value
#include <signal.h>
#include <unistd.h>

#include <string>

#include "longspan/internal/executor.pb.h"
#include "worker/executor/frame_socket.h"

namespace longspan::worker {
namespace {

class FakeExecutor {
 public:
  int Run() {
    while (true) {
      const absl::StatusOr<std::string> frame = socket_.Read();
      if (!frame.ok() && behaviour_ == "stubborn") pause();
      if (!frame.ok()) return 1;
      internal::ToExecutor message;
      if (!message.ParseFromString(*frame)) return 2;
      if (message.has_assign()) OnAssign(message.assign());
      if (message.has_start()) OnStart();
      if (message.has_stop() && behaviour_ != "stubborn") {
        return Finish(1, message.stop().reason());
      }
      if (message.has_rendezvous()) OnReply(message.rendezvous());
      if (finished_) return 0;
    }
  }

 private:
  void OnAssign(const internal::ExecutorAssignment& assign) {
    behaviour_ = assign.assignment().spec().name();
    if (behaviour_ == "stubborn") signal(SIGTERM, SIG_IGN);
    if (behaviour_ != "stubborn") signal(SIGTERM, [](int) {});
    if (behaviour_ == "exit-early") _exit(3);
    internal::FromExecutor message;
    message.mutable_prepared()->set_resumed_step(assign.threads());
    Send(message);
  }

  void OnStart() {
    if (behaviour_ == "crash") kill(getpid(), SIGKILL);
    if (behaviour_ == "rendezvous") {
      internal::FromExecutor message;
      message.mutable_rendezvous()->set_id(1);
      message.mutable_rendezvous()->mutable_set()->set_key("address");
      message.mutable_rendezvous()->mutable_set()->set_value("here");
      Send(message);
    }
    if (behaviour_ != "succeed") return;
    Report();
    Finish(0, "");
  }

  void OnReply(const v1::RendezvousReply& reply) {
    if (reply.id() == 2) {
      Finish(0, reply.value());
      return;
    }
    internal::FromExecutor message;
    message.mutable_rendezvous()->set_id(2);
    message.mutable_rendezvous()->set_get("address");
    Send(message);
  }

  void Report() {
    internal::FromExecutor progress;
    progress.mutable_progress()->set_done(7);
    Send(progress);
    internal::FromExecutor tokens;
    tokens.mutable_tokens()->add_tokens()->set_text("token");
    Send(tokens);
    internal::FromExecutor log;
    log.mutable_log()->set_data("a line");
    Send(log);
    internal::FromExecutor metrics;
    auto* sample = metrics.mutable_metrics()->add_samples();
    sample->set_name("longspan_training_loss");
    sample->set_set(2.5);
    Send(metrics);
  }

  int Finish(int code, const std::string& error) {
    finished_ = true;
    internal::FromExecutor message;
    message.mutable_finished()->set_code(code);
    message.mutable_finished()->set_error(error);
    message.mutable_finished()->mutable_result()->mutable_train()->set_steps(7);
    Send(message);
    return 0;
  }

  void Send(const internal::FromExecutor& message) {
    (void)socket_.Write(message.SerializeAsString());
  }

  FrameSocket socket_{UniqueFd(3)};
  std::string behaviour_;
  bool finished_ = false;
};

}  // namespace
}  // namespace longspan::worker

int main() { return longspan::worker::FakeExecutor().Run(); }
