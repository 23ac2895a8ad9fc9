// The operations of WorkerService, one source file each: what a message on a
// worker's stream does. `connection` is the stream it came from. They lock
// core.mu themselves. Thread-safe.
//
// Every message about an attempt is fenced: its (job, attempt, epoch) must be
// the live attempt and the rank must be placed on this worker; otherwise the
// worker is told Refused, and nothing changes.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "coordinator/dispatch/worker_link.h"
#include "longspan/v1/worker_service.pb.h"

namespace longspan::coordinator {

class Core;

// A stream was opened; its number.
int64_t OpenConnection(Core& core, std::shared_ptr<WorkerLink> link);

// The stream is gone. The worker's lease runs on.
void CloseConnection(Core& core, int64_t connection);

// Any message of a worker. An error ends the stream with that status.
absl::Status HandleWorkerMessage(Core& core, int64_t connection,
                                 const v1::WorkerMessage& message);

// The single ones.
absl::Status RegisterWorker(Core& core, int64_t connection,
                            const v1::Register& message);
absl::Status RenewLease(Core& core, int64_t connection,
                        const v1::RenewLease& message);
void RecordAssignmentStatus(Core& core, int64_t connection,
                            const v1::AssignmentStatus& message);
void ReportProgress(Core& core, int64_t connection,
                    const v1::RankReport& message);
void Rendezvous(Core& core, int64_t connection,
                const v1::RendezvousRequest& message);
void AppendTokens(Core& core, int64_t connection, const v1::Tokens& message);
void AppendLog(Core& core, int64_t connection, const v1::LogData& message);
void DrainWorker(Core& core, int64_t connection, const v1::Draining& message);

// The range of protocol versions that this coordinator speaks.
inline constexpr int kApiVersion = 1;

}  // namespace longspan::coordinator
