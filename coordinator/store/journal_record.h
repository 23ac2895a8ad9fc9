// Events <-> the bytes of longspan.internal.JournalRecord.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "coordinator/job/job_event.h"

namespace longspan::coordinator {

std::string EncodeJournalRecord(const JobEventBody& body);

// DataLoss for bytes that are no record; FailedPrecondition for an event that
// this version does not know.
absl::StatusOr<JobEventBody> DecodeJournalRecord(const std::string& bytes);

}  // namespace longspan::coordinator
