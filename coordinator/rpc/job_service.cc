#include "coordinator/rpc/job_service.h"

#include <grpcpp/grpcpp.h>

#include <utility>

#include "absl/status/statusor.h"
#include "common/rpc/status.h"
#include "coordinator/ops/job_operations.h"
#include "coordinator/rpc/authorization.h"
#include "coordinator/rpc/pull_reactor.h"
#include "longspan/v1/job_service.grpc.pb.h"

namespace longspan::coordinator {
namespace {

using Context = grpc::CallbackServerContext;

// Runs a unary operation and finishes the call.
template <typename Response, typename Operation>
grpc::ServerUnaryReactor* Unary(RpcContext& rpc, const char* method,
                                Context* context, Response* response,
                                Operation operation) {
  absl::Status status = Authorize(*context, rpc.token);
  if (status.ok()) {
    status = Guarded(method, [&]() -> absl::Status {
      absl::StatusOr<Response> result = operation();
      if (!result.ok()) return result.status();
      *response = *std::move(result);
      return absl::OkStatus();
    });
  }
  rpc.core.probe.OnRpc(method, status.code());
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpcStatus(status));
  return reactor;
}

// Opens a stream and lets a reactor send it.
template <typename Response, typename Operation>
grpc::ServerWriteReactor<Response>* Stream(RpcContext& rpc, const char* method,
                                           Context* context,
                                           Operation operation) {
  absl::StatusOr<std::unique_ptr<PullStream<Response>>> stream =
      absl::InternalError("the stream was not opened");
  absl::Status status = Authorize(*context, rpc.token);
  if (status.ok()) {
    status = Guarded(method, [&] {
      stream = operation();
      return stream.status();
    });
  }
  if (!status.ok()) stream = status;
  return new PullReactor<Response>(rpc, method, std::move(stream));
}

class JobServiceImpl final : public v1::JobService::CallbackService {
 public:
  explicit JobServiceImpl(RpcContext& rpc) : rpc_(rpc) {}

  grpc::ServerUnaryReactor* CreateJob(
      Context* context, const v1::CreateJobRequest* request,
      v1::CreateJobResponse* response) override {
    return Unary(rpc_, "CreateJob", context, response,
                 [&] { return coordinator::CreateJob(rpc_.core, *request); });
  }

  grpc::ServerUnaryReactor* GetJob(Context* context,
                                   const v1::GetJobRequest* request,
                                   v1::Job* response) override {
    return Unary(rpc_, "GetJob", context, response,
                 [&] { return coordinator::GetJob(rpc_.core, *request); });
  }

  grpc::ServerUnaryReactor* ListJobs(Context* context,
                                     const v1::ListJobsRequest* request,
                                     v1::ListJobsResponse* response) override {
    return Unary(rpc_, "ListJobs", context, response,
                 [&] { return coordinator::ListJobs(rpc_.core, *request); });
  }

  grpc::ServerUnaryReactor* CancelJob(Context* context,
                                      const v1::CancelJobRequest* request,
                                      v1::Job* response) override {
    return Unary(rpc_, "CancelJob", context, response,
                 [&] { return coordinator::CancelJob(rpc_.core, *request); });
  }

  grpc::ServerUnaryReactor* DeleteJob(
      Context* context, const v1::DeleteJobRequest* request,
      google::protobuf::Empty* response) override {
    return Unary(rpc_, "DeleteJob", context, response,
                 [&]() -> absl::StatusOr<google::protobuf::Empty> {
                   const absl::Status status =
                       coordinator::DeleteJob(rpc_.core, *request);
                   if (!status.ok()) return status;
                   return google::protobuf::Empty();
                 });
  }

  grpc::ServerUnaryReactor* ListWorkers(
      Context* context, const v1::ListWorkersRequest* request,
      v1::ListWorkersResponse* response) override {
    return Unary(rpc_, "ListWorkers", context, response,
                 [&] { return coordinator::ListWorkers(rpc_.core, *request); });
  }

  grpc::ServerWriteReactor<v1::JobEvent>* WatchJob(
      Context* context, const v1::WatchJobRequest* request) override {
    return Stream<v1::JobEvent>(rpc_, "WatchJob", context, [&] {
      return coordinator::WatchJob(rpc_.core, *request);
    });
  }

  grpc::ServerWriteReactor<v1::LogChunk>* ReadJobLog(
      Context* context, const v1::ReadJobLogRequest* request) override {
    return Stream<v1::LogChunk>(rpc_, "ReadJobLog", context, [&] {
      return coordinator::ReadJobLog(rpc_.core, *request);
    });
  }

  grpc::ServerWriteReactor<v1::GenerateResponse>* Generate(
      Context* context, const v1::GenerateRequest* request) override {
    return Stream<v1::GenerateResponse>(rpc_, "Generate", context, [&] {
      return coordinator::Generate(rpc_.core, *request);
    });
  }

 private:
  RpcContext& rpc_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeJobService(RpcContext& context) {
  return std::make_unique<JobServiceImpl>(context);
}

}  // namespace longspan::coordinator
