#include "worker/executor/run_executor.h"

#include <memory>
#include <utility>

#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "common/log/log.h"
#include "longspan/internal/executor.pb.h"
#include "worker/executor/agent_rendezvous.h"
#include "worker/executor/agent_reporter.h"
#include "worker/executor/executor_job.h"
#include "worker/executor/memory_probe.h"
#include "worker/executor/rank_setup.h"

namespace longspan::worker {
namespace {

struct GangMemory {
  int64_t peak = 0;
  int64_t planned = 0;
};

int64_t PlannedBytes(const v1::Assignment& assignment) {
  if (assignment.rank() >= assignment.plan().ranks_size()) return 0;
  return assignment.plan().ranks(assignment.rank()).memory().total();
}

// The largest over all ranks.
absl::StatusOr<GangMemory> LargestMemory(const RankContext& context,
                                         GangMemory own) {
  if (context.gang() == nullptr) return own;
  int64_t values[] = {own.peak, own.planned};
  RETURN_IF_ERROR(
      context.gang()
          ->AllReduce(kernels::TensorView(values, kernels::DType::kI64, {2}),
                      Reduction::kMax, {.traffic = Traffic::kControl})
          ->Wait());
  return GangMemory{.peak = values[0], .planned = values[1]};
}

void WriteMemory(const GangMemory& memory, v1::JobResult* result) {
  if (result->has_train()) {
    result->mutable_train()->set_memory_peak_bytes(memory.peak);
    result->mutable_train()->set_memory_planned_bytes(memory.planned);
  }
  if (result->has_generate()) {
    result->mutable_generate()->mutable_usage()->set_memory_peak_bytes(
        memory.peak);
  }
}

// What every line of this process says from here on.
void SetUpLogging(const internal::ExecutorAssignment& message) {
  const v1::Assignment& assignment = message.assignment();
  ConfigureLogging(
      {.format = message.json_log() ? LogFormat::kJson : LogFormat::kText,
       .component = "executor"});
  SetLogContext({"worker", message.worker()});
  SetLogContext({"job", assignment.key().job()});
  SetLogContext({"attempt", assignment.key().attempt()});
  SetLogContext({"rank", assignment.rank()});
}

// The assembly of one rank, in the order of its parts.
absl::Status RunAssignment(const internal::ExecutorAssignment& message,
                           AgentLink& link, v1::JobResult* result) {
  const v1::Assignment& assignment = message.assignment();
  const Clock& clock = SystemClock::Get();
  SetUpLogging(message);
  MemoryProbe memory;
  AgentReporter reporter(link, message, clock, memory);
  AgentRendezvous store(link, assignment);

  ASSIGN_OR_RETURN(const RankSetup rank, SetUpRank(message, store));
  memory.Watch(&rank.backend->memory());
  const auto run = [&]() -> absl::Status {
    ASSIGN_OR_RETURN(
        const std::unique_ptr<ExecutorJob> job,
        AssembleJob({.assignment = &message,
                     .context = rank.context,
                     .roots = {message.roots().begin(), message.roots().end()},
                     .stop = &link.stop(),
                     .reporter = &reporter,
                     .clock = &clock,
                     .memory = &memory}));
    internal::FromExecutor prepared;
    prepared.mutable_prepared()->set_resumed_step(job->resumed_step());
    link.Send(prepared);
    RETURN_IF_ERROR(link.AwaitStart());
    RETURN_IF_ERROR(job->Run(result));
    ASSIGN_OR_RETURN(
        const GangMemory largest,
        LargestMemory(rank.context, {.peak = memory.peak(),
                                     .planned = PlannedBytes(assignment)}));
    WriteMemory(largest, result);
    return absl::OkStatus();
  };
  const absl::Status status = run();
  reporter.Flush();
  memory.Watch(nullptr);  // the backend goes before the reporter
  // The other ranks must not wait for one that will not come.
  if (status.ok()) return status;
  if (rank.group != nullptr) rank.group->Abort(status);
  if (rank.replicas != nullptr) rank.replicas->Abort(status);
  return status;
}

}  // namespace

absl::Status RunExecutor(AgentLink& link) {
  internal::FromExecutor message;
  internal::Finished* finished = message.mutable_finished();
  const auto run = [&]() -> absl::Status {
    ASSIGN_OR_RETURN(const auto assignment, link.AwaitAssignment());
    return RunAssignment(*assignment, link, finished->mutable_result());
  };
  const absl::Status status = run();
  finished->set_code(static_cast<int>(status.code()));
  finished->set_error(std::string(status.message()));
  link.Send(message);
  return status;
}

}  // namespace longspan::worker
