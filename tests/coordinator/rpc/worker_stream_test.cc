// A job from CreateJob to SUCCEEDED over real streams, with the coordinator
// stopped and started in between.
#include <grpcpp/grpcpp.h>

#include "common/rpc/status.h"
#include "tests/coordinator/rpc/test_daemon.h"
#include "tests/support/in_process_cluster/sample_spec.h"

namespace longspan::testing {
namespace {

using Status = v1::AssignmentStatus;

// The worker's end of a stream, in lock step with the test.
class StreamWorker {
 public:
  StreamWorker(std::shared_ptr<grpc::Channel> channel, const std::string& name)
      : stub_(v1::WorkerService::NewStub(channel)), name_(name) {
    stream_ = stub_->Connect(&context_);
  }

  ~StreamWorker() {
    if (finished_) return;
    stream_->WritesDone();
    (void)stream_->Finish();
  }

  void Register(const v1::RunningRank* running = nullptr) {
    v1::WorkerMessage message;
    v1::Register& out = *message.mutable_register_();
    out.set_worker(name_);
    out.set_incarnation("one");
    out.mutable_info()->set_api_version_min(1);
    out.mutable_info()->set_api_version_max(1);
    for (const char* root : {"corpus", "models", "outputs"}) {
      out.mutable_info()->add_roots(root);
    }
    v1::Device& device = *out.mutable_info()->add_devices();
    device.set_kind("cpu");
    device.set_threads(1);
    if (running != nullptr) *out.add_running() = *running;
    stream_->Write(message);
  }

  v1::CoordinatorMessage Read() {
    v1::CoordinatorMessage message;
    EXPECT_TRUE(stream_->Read(&message));
    return message;
  }

  bool ReadEnds() {
    v1::CoordinatorMessage message;
    while (stream_->Read(&message)) {
    }
    return true;
  }

  grpc::Status Finish() {
    finished_ = true;
    return stream_->Finish();
  }

  void Report(const v1::AttemptKey& key, Status::State state) {
    v1::WorkerMessage message;
    *message.mutable_assignment_status()->mutable_key() = key;
    message.mutable_assignment_status()->set_state(state);
    stream_->Write(message);
  }

  void Renew() {
    v1::WorkerMessage message;
    message.mutable_renew_lease()->set_sequence(42);
    stream_->Write(message);
  }

 private:
  Context context_;
  std::unique_ptr<v1::WorkerService::Stub> stub_;
  const std::string name_;
  std::unique_ptr<
      grpc::ClientReaderWriter<v1::WorkerMessage, v1::CoordinatorMessage>>
      stream_;
  bool finished_ = false;
};

class WorkerStreamTest : public TestDaemon {
 protected:
  std::string Create(v1::JobService::Stub& stub, const std::string& id = "") {
    v1::CreateJobRequest request;
    *request.mutable_spec() = TrainSpec();
    request.set_request_id(id);
    v1::CreateJobResponse response;
    Context context;
    const grpc::Status status = stub.CreateJob(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.job().name();
  }

  // Waits for the state on a watch.
  void AwaitState(v1::JobService::Stub& stub, const std::string& job,
                  v1::JobState state) {
    v1::WatchJobRequest request;
    request.set_name(job);
    Context context;
    auto watch = stub.WatchJob(&context, request);
    v1::JobEvent event;
    while (watch->Read(&event)) {
      if (event.state_changed().state() == state) return context.TryCancel();
    }
    FAIL() << "the watch ended before " << v1::JobState_Name(state);
  }
};

TEST_F(WorkerStreamTest, JobFromCreationToSuccess) {
  Start();
  auto stub = Jobs();
  StreamWorker worker(Channel(), "w");
  worker.Register();
  ASSERT_TRUE(worker.Read().has_registered());
  worker.Renew();
  EXPECT_EQ(worker.Read().lease_renewed().sequence(), 42);
  const std::string job = Create(*stub);
  const v1::CoordinatorMessage assignment = worker.Read();
  ASSERT_TRUE(assignment.has_assignment());
  EXPECT_EQ(assignment.assignment().rendezvous_secret().size(), 32u);
  const v1::AttemptKey key = assignment.assignment().key();
  worker.Report(key, Status::PREPARED);
  ASSERT_TRUE(worker.Read().has_start());
  worker.Report(key, Status::RUNNING);
  AwaitState(*stub, job, v1::RUNNING);
  worker.Report(key, Status::SUCCEEDED);
  EXPECT_TRUE(worker.Read().has_stop()) << "acknowledged";
  AwaitState(*stub, job, v1::SUCCEEDED);
}

TEST_F(WorkerStreamTest, RunningJobOutlivesTheCoordinator) {
  Start();
  std::string job;
  v1::RunningRank running;
  {
    StreamWorker worker(Channel(), "w");
    worker.Register();
    ASSERT_TRUE(worker.Read().has_registered());
    auto stub = Jobs();
    job = Create(*stub, "id-1");
    const v1::CoordinatorMessage assignment = worker.Read();
    *running.mutable_key() = assignment.assignment().key();
    worker.Report(running.key(), Status::PREPARED);
    ASSERT_TRUE(worker.Read().has_start());
    worker.Report(running.key(), Status::RUNNING);
    AwaitState(*stub, job, v1::RUNNING);
    daemon_->Stop(absl::Seconds(1));
    EXPECT_TRUE(worker.ReadEnds());
    EXPECT_EQ(worker.Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
    daemon_.reset();
  }
  Start();
  auto stub = Jobs();
  EXPECT_EQ(Create(*stub, "id-1"), job) << "the same request, the same job";
  StreamWorker worker(Channel(), "w");
  worker.Register(&running);
  const v1::CoordinatorMessage registered = worker.Read();
  ASSERT_TRUE(registered.has_registered());
  EXPECT_EQ(registered.registered().stop_size(), 0) << "it may go on";
  worker.Report(running.key(), Status::SUCCEEDED);
  AwaitState(*stub, job, v1::SUCCEEDED);
}

TEST_F(WorkerStreamTest, BadRegistrationEndsTheStreamWithTheReason) {
  Start();
  StreamWorker worker(Channel(), "Not A Name");
  worker.Register();
  EXPECT_TRUE(worker.ReadEnds());
  const absl::Status status = FromGrpcStatus(worker.Finish());
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ErrorReason(status), "REGISTRATION_REFUSED");
}

TEST_F(WorkerStreamTest, SilentWorkerIsCutOffAndItsJobMovesOn) {
  options_.core.leases.lease = absl::Milliseconds(300);
  Start();
  auto stub = Jobs();
  StreamWorker silent(Channel(), "a");
  silent.Register();
  ASSERT_TRUE(silent.Read().has_registered());
  const std::string job = Create(*stub);
  ASSERT_TRUE(silent.Read().has_assignment());
  AwaitState(*stub, job, v1::RECOVERING);
  EXPECT_TRUE(silent.ReadEnds()) << "the coordinator closes the stream";
  EXPECT_EQ(silent.Finish().error_code(), grpc::StatusCode::ABORTED);
}

}  // namespace
}  // namespace longspan::testing
