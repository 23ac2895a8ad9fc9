// Who sent a message, and whether it may speak for the attempt it names.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "coordinator/cluster/worker.h"
#include "coordinator/job/job_table.h"
#include "coordinator/ops/core.h"
#include "longspan/v1/worker_service.pb.h"

namespace longspan::coordinator {

// The worker that registered on the stream, or null.
const Worker* SenderOf(Core& core, int64_t connection) REQUIRES(core.mu);

// Fencing. Whether `key` is the live attempt of its job and `rank` is placed on
// the sender; otherwise the sender is told Refused. Sets *job.
bool CheckSender(Core& core, int64_t connection, const v1::AttemptKey& key,
                 int rank, JobSnapshot* job) REQUIRES(core.mu);

void Refuse(Core& core, int64_t connection, const absl::Status& why,
            const v1::AttemptKey& key) REQUIRES(core.mu);

}  // namespace longspan::coordinator
