// A coordinator that says what a test tells it, on a real port.
#pragma once

#include <grpcpp/server.h>

#include <memory>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "longspan/v1/job_service.grpc.pb.h"

namespace longspan::cli {

class FakeJobService final : public v1::JobService::Service {
 public:
  FakeJobService();
  ~FakeJobService() override;

  // Options of a client of this server.
  ClientOptions client_options() const;

  // One answer to WatchJob: its events, then this status. Answers are used in
  // order; the last one is used again.
  struct WatchAnswer {
    std::vector<v1::JobEvent> events;
    grpc::Status status;
  };
  std::vector<WatchAnswer> watch_answers;
  v1::Job job;                      // GetJob, CreateJob
  grpc::Status create_status;       // CreateJob
  std::vector<std::string> log_of;  // ReadJobLog: pieces
  std::vector<v1::GenerateResponse> generated;
  grpc::Status generate_status;

  // What was asked.
  std::vector<std::string> resume_tokens;
  v1::CreateJobRequest created;
  v1::GenerateRequest generate_request;

  grpc::Status CreateJob(grpc::ServerContext*, const v1::CreateJobRequest*,
                         v1::CreateJobResponse*) override;
  grpc::Status GetJob(grpc::ServerContext*, const v1::GetJobRequest*,
                      v1::Job*) override;
  grpc::Status WatchJob(grpc::ServerContext*, const v1::WatchJobRequest*,
                        grpc::ServerWriter<v1::JobEvent>*) override;
  grpc::Status ReadJobLog(grpc::ServerContext*, const v1::ReadJobLogRequest*,
                          grpc::ServerWriter<v1::LogChunk>*) override;
  grpc::Status Generate(grpc::ServerContext*, const v1::GenerateRequest*,
                        grpc::ServerWriter<v1::GenerateResponse>*) override;

 private:
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

// An event with this token and state.
v1::JobEvent StateEvent(const std::string& token, v1::JobState state);
v1::JobEvent ProgressEvent(const std::string& token, int64_t done);

// INVALID_ARGUMENT with google.rpc.BadRequest.
grpc::Status BadRequestStatus(const std::string& field,
                              const std::string& description);

}  // namespace longspan::cli
