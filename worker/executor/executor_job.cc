#include "worker/executor/executor_job.h"

#include "longspan/internal/executor.pb.h"

namespace longspan::worker {

absl::StatusOr<std::unique_ptr<ExecutorJob>> AssembleJob(
    const JobParts& parts) {
  switch (parts.assignment->assignment().spec().kind_case()) {
    case v1::JobSpec::kTrain:
      return AssembleTrain(parts);
    case v1::JobSpec::kEvaluate:
      return AssembleEvaluate(parts);
    case v1::JobSpec::kGenerate:
      return AssembleGenerate(parts);
    case v1::JobSpec::KIND_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError(
      "the job spec is of a kind that this worker does not know; one of train, "
      "evaluate, generate");
}

}  // namespace longspan::worker
