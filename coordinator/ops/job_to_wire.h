// Jobs and workers in their wire form.
#pragma once

#include "coordinator/cluster/worker.h"
#include "coordinator/job/job.h"
#include "coordinator/ops/core.h"
#include "longspan/v1/cluster.pb.h"
#include "longspan/v1/job.pb.h"

namespace longspan::coordinator {

v1::JobState JobStateToWire(JobState state);

// What the job's events say.
v1::Job JobToWire(const Job& job);

// And, if `job` is its newest snapshot, what is known besides: pending reason,
// queue position, progress.
v1::Job JobToWire(Core& core, const Job& job) REQUIRES(core.mu);

v1::Worker WorkerToWire(const Worker& worker);
WorkerDescription WorkerFromWire(const v1::WorkerInfo& info);

}  // namespace longspan::coordinator
