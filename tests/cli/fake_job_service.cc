#include "tests/cli/fake_job_service.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <algorithm>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace longspan::cli {

FakeJobService::FakeJobService() {
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                           &port_);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
}

FakeJobService::~FakeJobService() {
  server_->Shutdown();
  server_->Wait();
}

ClientOptions FakeJobService::client_options() const {
  ClientOptions options;
  options.coordinator = "127.0.0.1:" + std::to_string(port_);
  return options;
}

grpc::Status FakeJobService::CreateJob(grpc::ServerContext*,
                                       const v1::CreateJobRequest* request,
                                       v1::CreateJobResponse* response) {
  created = *request;
  *response->mutable_job() = job;
  return create_status;
}

grpc::Status FakeJobService::GetJob(grpc::ServerContext*,
                                    const v1::GetJobRequest* request,
                                    v1::Job* response) {
  if (request->name() != job.name()) {
    return {grpc::StatusCode::NOT_FOUND, "no job " + request->name()};
  }
  *response = job;
  return grpc::Status::OK;
}

grpc::Status FakeJobService::WatchJob(grpc::ServerContext*,
                                      const v1::WatchJobRequest* request,
                                      grpc::ServerWriter<v1::JobEvent>* out) {
  size_t index = std::min(resume_tokens.size(), watch_answers.size() - 1);
  resume_tokens.push_back(request->resume_token());
  for (const v1::JobEvent& event : watch_answers[index].events) {
    out->Write(event);
  }
  return watch_answers[index].status;
}

grpc::Status FakeJobService::ReadJobLog(grpc::ServerContext*,
                                        const v1::ReadJobLogRequest* request,
                                        grpc::ServerWriter<v1::LogChunk>* out) {
  int64_t offset = 0;
  for (const std::string& piece : log_of) {
    v1::LogChunk chunk;
    chunk.set_offset(offset);
    chunk.set_data(piece);
    offset += static_cast<int64_t>(piece.size());
    if (chunk.offset() >= request->offset()) out->Write(chunk);
  }
  return grpc::Status::OK;
}

grpc::Status FakeJobService::Generate(
    grpc::ServerContext*, const v1::GenerateRequest* request,
    grpc::ServerWriter<v1::GenerateResponse>* out) {
  generate_request = *request;
  for (const v1::GenerateResponse& response : generated) out->Write(response);
  return generate_status;
}

v1::JobEvent StateEvent(const std::string& token, v1::JobState state) {
  v1::JobEvent event;
  event.set_resume_token(token);
  event.mutable_state_changed()->set_state(state);
  return event;
}

v1::JobEvent ProgressEvent(const std::string& token, int64_t done) {
  v1::JobEvent event;
  event.set_resume_token(token);
  event.mutable_progress()->set_done(done);
  return event;
}

grpc::Status BadRequestStatus(const std::string& field,
                              const std::string& description) {
  google::rpc::BadRequest bad;
  auto* violation = bad.add_field_violations();
  violation->set_field(field);
  violation->set_description(description);
  google::rpc::Status rich;
  rich.set_code(3);
  rich.add_details()->PackFrom(bad);
  return {grpc::StatusCode::INVALID_ARGUMENT, "bad spec",
          rich.SerializeAsString()};
}

}  // namespace longspan::cli
