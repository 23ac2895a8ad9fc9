// Why an attempt failed, when several ranks say different things: a rank that
// dies takes its neighbours with it, and their "connection closed by peer"
// often arrives first.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "coordinator/job/job.h"

namespace longspan::coordinator {

// Failures that the next attempt would meet again: bad arguments, missing
// files, refused permissions. (Not FAILED_PRECONDITION: a worker that drains
// says that.)
bool IsPermanent(absl::StatusCode code);

// The failure to blame: permanent ones before others, then those that are not
// echoes of another rank's end (ABORTED, CANCELLED, UNAVAILABLE), then the
// first that arrived. None if no rank failed.
std::optional<RankFailure> RootCause(const std::vector<RankFailure>& failures);

// Whether the ranks were only asked to stop, by a worker that drains: no fault
// of the job. (Every failure is CANCELLED.)
bool WasInterrupted(const std::vector<RankFailure>& failures);

// "rank 1: NOT_FOUND: corpus://x is missing (and 2 more ranks)". Three are
// described when all are echoes.
std::string DescribeFailures(const std::vector<RankFailure>& failures);

}  // namespace longspan::coordinator
