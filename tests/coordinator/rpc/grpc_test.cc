// The services as a client sees them, over a real server.
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <future>

#include "common/rpc/status.h"
#include "tests/coordinator/rpc/test_daemon.h"
#include "tests/support/in_process_cluster/sample_spec.h"

namespace longspan::testing {
namespace {

class GrpcTest : public TestDaemon {
 protected:
  // Sends raw bytes to a unary method and returns how the call ended.
  grpc::Status CallRaw(const std::string& method, const std::string& bytes,
                       std::string* response = nullptr) {
    grpc::GenericStub stub(Channel());
    Context context;
    grpc::CompletionQueue queue;
    const grpc::Slice slice(bytes);
    const grpc::ByteBuffer request(&slice, 1);
    auto call = stub.PrepareUnaryCall(&context, method, request, &queue);
    call->StartCall();
    grpc::ByteBuffer answer;
    grpc::Status status;
    call->Finish(&answer, &status, this);
    void* tag = nullptr;
    bool ok = false;
    EXPECT_TRUE(queue.Next(&tag, &ok));
    if (response != nullptr) Flatten(answer, response);
    return status;
  }

  static void Flatten(const grpc::ByteBuffer& buffer, std::string* bytes) {
    std::vector<grpc::Slice> slices;
    if (!buffer.Dump(&slices).ok()) return;
    for (const grpc::Slice& slice : slices) {
      bytes->append(reinterpret_cast<const char*>(slice.begin()), slice.size());
    }
  }

  // The reply of a bidirectional method to one message.
  std::string Exchange(const std::string& method, const std::string& bytes) {
    grpc::GenericStub stub(Channel());
    Context context;
    grpc::CompletionQueue queue;
    auto call = stub.PrepareCall(&context, method, &queue);
    auto wait = [&queue] {
      void* tag = nullptr;
      bool ok = false;
      return queue.Next(&tag, &ok) && ok;
    };
    call->StartCall(this);
    EXPECT_TRUE(wait());
    const grpc::Slice slice(bytes);
    call->Write(grpc::ByteBuffer(&slice, 1), this);
    (void)wait();  // fails where there is no such method
    grpc::ByteBuffer answer;
    call->Read(&answer, this);
    std::string text;
    if (wait()) Flatten(answer, &text);
    context.TryCancel();
    grpc::Status status;
    call->Finish(&status, this);
    wait();
    return text;
  }
};

TEST_F(GrpcTest, ErrorsCarryDetails) {
  Start();
  v1::CreateJobRequest request;
  request.mutable_text()->set_content("name: tiny\ntrainn: {}\nrank: 3\n");
  request.mutable_text()->set_file_name("job.yaml");
  v1::CreateJobResponse response;
  Context context;
  const absl::Status status =
      FromGrpcStatus(Jobs()->CreateJob(&context, request, &response));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ErrorReason(status), "INVALID_JOB_SPEC");
  EXPECT_GE(ErrorViolations(status).size(), 2u);
  EXPECT_NE(ErrorViolations(status)[0].second.find("job.yaml:2"),
            std::string::npos)
      << status;
}

TEST_F(GrpcTest, ManyErrorsStillArrive) {
  Start();
  std::string text = "name: tiny\n";
  for (int i = 0; i < 1000; ++i) {
    text += "mistake_number_" + std::to_string(i) + ": 1\n";
  }
  v1::CreateJobRequest request;
  request.mutable_text()->set_content(text);
  v1::CreateJobResponse response;
  Context context;
  const absl::Status status =
      FromGrpcStatus(Jobs()->CreateJob(&context, request, &response));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ErrorMetadata(status, "violations").empty(), false);
  EXPECT_GT(ErrorViolations(status).size(), 3u);
}

TEST_F(GrpcTest, HealthSaysServing) {
  Start();
  std::string response;
  const grpc::Status status =
      CallRaw("/grpc.health.v1.Health/Check", "", &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response, std::string("\x08\x01")) << "SERVING";
}

TEST_F(GrpcTest, ReflectionListsTheServices) {
  Start();
  // ServerReflectionRequest{list_services: "*"}
  const std::string list =
      Exchange("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
               std::string("\x3a\x01*"));
  EXPECT_NE(list.find("longspan.v1.JobService"), std::string::npos);
  EXPECT_NE(list.find("longspan.v1.WorkerService"), std::string::npos);
  EXPECT_NE(list.find("grpc.health.v1.Health"), std::string::npos);
}

TEST_F(GrpcTest, ReflectionIsOffBeyondLoopbackUnlessWanted) {
  options_.listen = {"0.0.0.0", 0};
  options_.insecure = true;
  Start();
  EXPECT_EQ(Exchange("/grpc.reflection.v1alpha.ServerReflection/"
                     "ServerReflectionInfo",
                     std::string("\x3a\x01*")),
            "");
}

TEST_F(GrpcTest, OversizeRequestIsRefusedAndTheServerLivesOn) {
  Start();
  v1::CreateJobRequest request;
  request.mutable_text()->set_content(std::string(5 << 20, 'x'));
  v1::CreateJobResponse response;
  Context context;
  EXPECT_EQ(Jobs()->CreateJob(&context, request, &response).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  v1::ListJobsResponse list;
  Context again;
  EXPECT_TRUE(Jobs()->ListJobs(&again, {}, &list).ok());
}

TEST_F(GrpcTest, MalformedBytesAreRefusedAndTheServerLivesOn) {
  Start();
  for (const std::string& bytes :
       {std::string("\xff\xff\xff\xff"), std::string("\x0a\x05\xff\xfe"),
        std::string(100, '\x0a'), std::string("\x0a\x02\xc3\x28")}) {
    const grpc::Status status =
        CallRaw("/longspan.v1.JobService/CreateJob", bytes);
    // The callback API answers UNIMPLEMENTED, the synchronous one INTERNAL.
    EXPECT_TRUE(status.error_code() == grpc::StatusCode::UNIMPLEMENTED ||
                status.error_code() == grpc::StatusCode::INTERNAL ||
                status.error_code() == grpc::StatusCode::INVALID_ARGUMENT)
        << status.error_code();
  }
  EXPECT_EQ(CallRaw("/longspan.v1.JobService/NoSuchMethod", "").error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
  v1::ListJobsResponse list;
  Context again;
  EXPECT_TRUE(Jobs()->ListJobs(&again, {}, &list).ok());
}

TEST_F(GrpcTest, TokenIsRequiredBeforeAnythingElse) {
  options_.token = "0123456789abcdef";
  Start();
  v1::GetJobRequest request;
  request.set_name("tenants/default/jobs/none");
  v1::Job job;
  for (const std::string& token :
       {std::string(), std::string("0123456789abcdeX"),
        std::string("0123456789abcdef0")}) {
    Context context;
    const absl::Status status =
        FromGrpcStatus(Jobs(token)->GetJob(&context, request, &job));
    EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated);
    EXPECT_EQ(ErrorReason(status), "TOKEN_REQUIRED");
  }
  Context context;
  EXPECT_EQ(Jobs(options_.token)->GetJob(&context, request, &job).error_code(),
            grpc::StatusCode::NOT_FOUND);
  Context stream;
  auto watch = Jobs()->WatchJob(&stream, {});
  v1::JobEvent event;
  EXPECT_FALSE(watch->Read(&event));
  EXPECT_EQ(watch->Finish().error_code(), grpc::StatusCode::UNAUTHENTICATED);
}

TEST_F(GrpcTest, WatchIsLive) {
  Start();
  auto stub = Jobs();
  v1::CreateJobRequest create;
  *create.mutable_spec() = TrainSpec();
  v1::CreateJobResponse created;
  Context create_context;
  ASSERT_TRUE(stub->CreateJob(&create_context, create, &created).ok());
  v1::WatchJobRequest request;
  request.set_name(created.job().name());
  Context watch_context;
  auto watch = stub->WatchJob(&watch_context, request);
  v1::JobEvent event;
  ASSERT_TRUE(watch->Read(&event));
  EXPECT_EQ(event.state_changed().state(), v1::PENDING);
  v1::CancelJobRequest cancel;
  cancel.set_name(created.job().name());
  v1::Job cancelled;
  Context cancel_context;
  ASSERT_TRUE(stub->CancelJob(&cancel_context, cancel, &cancelled).ok());
  ASSERT_TRUE(watch->Read(&event));
  EXPECT_EQ(event.state_changed().state(), v1::CANCELLING);
  ASSERT_TRUE(watch->Read(&event));
  EXPECT_EQ(event.state_changed().state(), v1::CANCELLED);
  EXPECT_FALSE(watch->Read(&event)) << "ends after the last event";
  EXPECT_TRUE(watch->Finish().ok());
}

TEST_F(GrpcTest, AbandonedGenerateIsCancelled) {
  Start();
  auto stub = Jobs();
  v1::GenerateRequest request;
  *request.mutable_generate() = GenerateSpec().generate();
  std::string job;
  {
    Context context;
    auto stream = stub->Generate(&context, request);
    v1::GenerateResponse response;
    ASSERT_TRUE(stream->Read(&response));
    job = response.job();
    context.TryCancel();
    while (stream->Read(&response)) {
    }
    EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  // The server hears of it a moment later; the watch waits for that.
  v1::WatchJobRequest watch_request;
  watch_request.set_name(job);
  Context watch_context;
  auto watch = stub->WatchJob(&watch_context, watch_request);
  v1::JobEvent event;
  v1::JobState last = v1::JOB_STATE_UNSPECIFIED;
  while (watch->Read(&event)) last = event.state_changed().state();
  EXPECT_EQ(last, v1::CANCELLED);
}

TEST_F(GrpcTest, ManyWatchersAllHearTheEnd) {
  Start();
  auto stub = Jobs();
  v1::CreateJobRequest create;
  *create.mutable_spec() = TrainSpec();
  v1::CreateJobResponse created;
  Context create_context;
  ASSERT_TRUE(stub->CreateJob(&create_context, create, &created).ok());
  std::vector<std::future<int>> watchers;
  for (int i = 0; i < 20; ++i) {
    watchers.push_back(std::async(std::launch::async, [&] {
      Context context;
      v1::WatchJobRequest request;
      request.set_name(created.job().name());
      auto watch = stub->WatchJob(&context, request);
      v1::JobEvent event;
      int events = 0;
      while (watch->Read(&event)) ++events;
      return watch->Finish().ok() ? events : -1;
    }));
  }
  v1::CancelJobRequest cancel;
  cancel.set_name(created.job().name());
  v1::Job cancelled;
  Context cancel_context;
  ASSERT_TRUE(stub->CancelJob(&cancel_context, cancel, &cancelled).ok());
  for (std::future<int>& watcher : watchers) EXPECT_EQ(watcher.get(), 3);
}

}  // namespace
}  // namespace longspan::testing
