#include "coordinator/ops/job_to_wire.h"

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "coordinator/ops/core.h"
#include "coordinator/ops/wire_time.h"

namespace longspan::coordinator {
namespace {

bool IsFinite(absl::Time time) {
  return time != absl::InfiniteFuture() && time != absl::InfinitePast();
}

void WriteAttempt(const JobName& job, const Attempt& from, v1::Attempt* to) {
  to->set_name(AttemptName(job, from.number));
  to->set_number(from.number);
  WriteTime(from.start_time, to->mutable_start_time());
  if (IsFinite(from.end_time)) {
    WriteTime(from.end_time, to->mutable_end_time());
  }
  for (const Placement& placement : from.placements) {
    v1::Placement& out = *to->add_placements();
    out.set_rank(placement.rank);
    out.set_worker(absl::StrCat("workers/", placement.worker));
    out.set_slot(placement.slot);
  }
  to->set_resumed_step(from.resumed_step);
  to->set_end_reason(from.end_reason);
}

v1::WorkerState WorkerStateToWire(WorkerState state) {
  switch (state) {
    case WorkerState::kReady:
      return v1::READY;
    case WorkerState::kLost:
      return v1::LOST;
    case WorkerState::kDraining:
      return v1::DRAINING;
  }
  return v1::WORKER_STATE_UNSPECIFIED;
}

void WriteDevice(const Device& from, v1::Device* to) {
  to->set_slot(from.slot);
  to->set_kind(from.kind);
  to->set_model(from.model);
  to->set_memory_bytes(from.memory_bytes);
  to->set_threads(from.threads);
  to->set_uuid(from.uuid);
  to->set_instruction_set(from.instruction_set);
}

void WriteInfo(const WorkerDescription& from, v1::WorkerInfo* to) {
  to->set_build(from.build);
  to->set_api_version_min(from.api_version_min);
  to->set_api_version_max(from.api_version_max);
  to->set_hostname(from.hostname);
  for (const Device& device : from.devices) {
    WriteDevice(device, to->add_devices());
  }
  to->set_nccl_version(from.nccl_version);
  for (const std::string& root : from.roots) to->add_roots(root);
  to->set_metrics_address(from.metrics_address);
  to->set_data_address(from.data_address);
}

}  // namespace

v1::JobState JobStateToWire(JobState state) {
  switch (state) {
    case JobState::kPending:
      return v1::PENDING;
    case JobState::kStarting:
      return v1::STARTING;
    case JobState::kRunning:
      return v1::RUNNING;
    case JobState::kRecovering:
      return v1::RECOVERING;
    case JobState::kCancelling:
      return v1::CANCELLING;
    case JobState::kSucceeded:
      return v1::SUCCEEDED;
    case JobState::kFailed:
      return v1::FAILED;
    case JobState::kCancelled:
      return v1::CANCELLED;
  }
  return v1::JOB_STATE_UNSPECIFIED;
}

v1::Job JobToWire(const Job& job) {
  v1::Job wire;
  wire.set_name(job.name.value());
  LONGSPAN_CHECK(wire.mutable_spec()->ParseFromString(*job.spec)) << job.name;
  wire.set_state(JobStateToWire(job.state));
  WriteTime(job.create_time, wire.mutable_create_time());
  if (IsFinite(job.start_time)) {
    WriteTime(job.start_time, wire.mutable_start_time());
  }
  if (IsFinite(job.end_time)) {
    WriteTime(job.end_time, wire.mutable_end_time());
  }
  for (const Attempt& attempt : job.attempts) {
    WriteAttempt(job.name, attempt, wire.add_attempts());
  }
  wire.set_error(job.error);
  if (job.result != nullptr) {
    LONGSPAN_CHECK(wire.mutable_result()->ParseFromString(*job.result))
        << job.name;
  }
  wire.set_request_id(job.request_id);
  wire.set_revision(job.revision);
  return wire;
}

v1::Job JobToWire(Core& core, const Job& job) {
  v1::Job wire = JobToWire(job);
  const JobSnapshot newest = core.jobs.Find(job.name);
  if (newest == nullptr || newest->revision != job.revision) return wire;
  auto pending = core.pending.find(job.name);
  if (pending != core.pending.end()) {
    wire.set_pending_reason(pending->second.reason);
    wire.set_queue_position(pending->second.queue_position);
  }
  if (const JobProgress* progress = core.progress.Find(job.name)) {
    *wire.mutable_progress() = progress->progress;
  }
  wire.mutable_progress()->set_checkpoint_step(job.checkpoint_step);
  return wire;
}

v1::Worker WorkerToWire(const Worker& worker) {
  v1::Worker wire;
  wire.set_name(absl::StrCat("workers/", worker.name));
  wire.set_state(WorkerStateToWire(worker.state));
  WriteInfo(worker.info, wire.mutable_info());
  if (IsFinite(worker.last_heartbeat)) {
    WriteTime(worker.last_heartbeat, wire.mutable_last_heartbeat());
  }
  for (const Device& device : worker.info.devices) {
    v1::SlotUse& slot = *wire.add_slots();
    slot.set_slot(device.slot);
    auto use = worker.uses.find(device.slot);
    if (use == worker.uses.end()) continue;
    slot.set_attempt(AttemptName(use->second.job, use->second.attempt));
    slot.set_rank(use->second.rank);
  }
  return wire;
}

WorkerDescription WorkerFromWire(const v1::WorkerInfo& info) {
  WorkerDescription worker;
  worker.build = info.build();
  worker.api_version_min = info.api_version_min();
  worker.api_version_max = info.api_version_max();
  worker.hostname = info.hostname();
  for (const v1::Device& d : info.devices()) {
    worker.devices.push_back({d.slot(), d.kind(), d.model(), d.memory_bytes(),
                              d.threads(), d.uuid(), d.instruction_set()});
  }
  worker.nccl_version = info.nccl_version();
  worker.roots.assign(info.roots().begin(), info.roots().end());
  worker.metrics_address = info.metrics_address();
  worker.data_address = info.data_address();
  return worker;
}

}  // namespace longspan::coordinator
