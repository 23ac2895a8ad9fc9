// Jobs as the status page shows them: docs/formats/status.md. Every field is
// named here, so nothing of a spec or a result is shown by accident: no
// prompts, no generated text, no environment, no secrets of attempts.
//
// Pure. Strings are cut at a length, lists at a number, and bytes that are not
// UTF-8 are replaced when the value is written.
#pragma once

#include <optional>
#include <string>

#include "absl/time/time.h"
#include "coordinator/job/job_table.h"
#include "coordinator/ops/core.h"
#include "coordinator/status_page/progress_history.h"
#include "longspan/v1/plan.pb.h"
#include "nlohmann/json_fwd.hpp"

namespace longspan::coordinator {

// A job and what is known besides its events, copied out of the core.
struct JobView {
  JobSnapshot job;
  std::optional<PendingInfo> pending;
  std::optional<v1::Progress> progress;
};

// Of a list.
nlohmann::json JobSummaryJson(const JobView& view);

// The summary, and attempts, ranks, result, curves.
nlohmann::json JobDetailJson(const JobView& view,
                             const std::optional<JobCurves>& curves);

// Token ranges and bytes of every rank.
nlohmann::json PlanJson(const v1::Plan& plan);

// "2026-11-22T10:00:00.123Z"; null for a time that never comes.
nlohmann::json TimeJson(absl::Time time);

// At most `size` bytes of `text`.
std::string Clip(const std::string& text, size_t size = 4096);

}  // namespace longspan::coordinator
