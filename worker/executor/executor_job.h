// The job of one rank as the executor sees it: assembled from an assignment,
// run once. One assembly function per job kind translates the wire's messages
// into the plain options of worker/{train,evaluate,generate} and the outcome
// back.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "worker/executor/memory_probe.h"
#include "worker/executor/root_uri.h"
#include "worker/job/job_reporter.h"
#include "worker/job/stop_request.h"
#include "worker/parallel/rank_context.h"

namespace longspan::internal {
class ExecutorAssignment;
}
namespace longspan::v1 {
class JobResult;
}

namespace longspan::worker {

class ExecutorJob {
 public:
  virtual ~ExecutorJob() = default;

  // The step that the job goes on from; 0: the beginning.
  virtual int64_t resumed_step() const { return 0; }

  // Fills `result` (memory apart). kCancelled after a stop request.
  virtual absl::Status Run(v1::JobResult* result) = 0;
};

// What a job is assembled from. Owns nothing; all of it outlives the job.
struct JobParts {
  const internal::ExecutorAssignment* assignment = nullptr;
  RankContext context;
  Roots roots;
  const StopRequest* stop = nullptr;
  JobReporter* reporter = nullptr;
  const Clock* clock = nullptr;
  MemoryProbe* memory = nullptr;  // restarted before the model is built
};

// By the kind of the assignment's spec.
absl::StatusOr<std::unique_ptr<ExecutorJob>> AssembleJob(const JobParts& parts);

absl::StatusOr<std::unique_ptr<ExecutorJob>> AssembleTrain(
    const JobParts& parts);
absl::StatusOr<std::unique_ptr<ExecutorJob>> AssembleEvaluate(
    const JobParts& parts);
absl::StatusOr<std::unique_ptr<ExecutorJob>> AssembleGenerate(
    const JobParts& parts);

}  // namespace longspan::worker
