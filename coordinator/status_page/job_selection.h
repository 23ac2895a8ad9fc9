// Which jobs a page of the list shows. Pure.
//
// Jobs that hold slots come first, then those that wait, then those that are
// over; the newest first among each.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/job/job_table.h"

namespace longspan::coordinator {

struct JobSelection {
  std::set<JobState> states;  // empty: all
  int page_size = 50;
  std::string page_token;  // empty: the first page
};

struct JobPage {
  std::vector<JobSnapshot> jobs;
  std::string next_page_token;  // empty: the last page
};

// InvalidArgument for a token that no page of these states gave. A job that
// changed its place between two pages may be shown twice or not at all.
absl::StatusOr<JobPage> SelectJobs(const JobTable& table,
                                   const JobSelection& selection);

}  // namespace longspan::coordinator
