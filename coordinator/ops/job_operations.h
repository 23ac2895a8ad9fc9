// The operations of JobService, one source file each. They take and return the
// messages of the wire contract, know nothing of gRPC, lock core.mu themselves
// and report errors with the reasons of errors.h. Thread-safe.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "coordinator/ops/pull_stream.h"
#include "longspan/v1/job_service.pb.h"

namespace longspan::coordinator {

class Core;

absl::StatusOr<v1::CreateJobResponse> CreateJob(
    Core& core, const v1::CreateJobRequest& request);

absl::StatusOr<v1::Job> GetJob(Core& core, const v1::GetJobRequest& request);

// Newest first.
absl::StatusOr<v1::ListJobsResponse> ListJobs(
    Core& core, const v1::ListJobsRequest& request);

// FAILED_PRECONDITION for a finished job; a job that is being cancelled is
// returned as it is.
absl::StatusOr<v1::Job> CancelJob(Core& core,
                                  const v1::CancelJobRequest& request);

absl::Status DeleteJob(Core& core, const v1::DeleteJobRequest& request);

absl::StatusOr<v1::ListWorkersResponse> ListWorkers(
    Core& core, const v1::ListWorkersRequest& request);

absl::StatusOr<std::unique_ptr<PullStream<v1::JobEvent>>> WatchJob(
    Core& core, const v1::WatchJobRequest& request);

absl::StatusOr<std::unique_ptr<PullStream<v1::LogChunk>>> ReadJobLog(
    Core& core, const v1::ReadJobLogRequest& request);

absl::StatusOr<std::unique_ptr<PullStream<v1::GenerateResponse>>> Generate(
    Core& core, const v1::GenerateRequest& request);

}  // namespace longspan::coordinator
