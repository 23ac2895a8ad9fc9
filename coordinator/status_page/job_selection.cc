#include "coordinator/status_page/job_selection.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "coordinator/ops/page.h"

namespace longspan::coordinator {
namespace {

// Ascending in the order of the list.
using Place = std::pair<int, int64_t>;

int GroupOf(JobState state) {
  if (IsFinal(state)) return 2;
  return state == JobState::kPending ? 1 : 0;
}

Place PlaceOf(const Job& job) {
  return {GroupOf(job.state), -job.create_revision};
}

std::string PositionOf(const Place& place) {
  return absl::StrCat(place.first, "/", place.second);
}

// Before all others if there is no position.
Place PlaceAt(const std::string& position) {
  Place place = {-1, 0};
  if (position.empty()) return place;
  const std::pair<std::string, std::string> parts =
      absl::StrSplit(position, absl::MaxSplits('/', 1));
  (void)absl::SimpleAtoi(parts.first, &place.first);
  (void)absl::SimpleAtoi(parts.second, &place.second);
  return place;
}

std::string QuestionOf(const JobSelection& selection) {
  std::string question = "status page/jobs";
  for (JobState state : selection.states) {
    absl::StrAppend(&question, "/", JobStateName(state));
  }
  return question;
}

}  // namespace

absl::StatusOr<JobPage> SelectJobs(const JobTable& table,
                                   const JobSelection& selection) {
  const std::string question = QuestionOf(selection);
  ASSIGN_OR_RETURN(const PageCursor cursor,
                   DecodePage(selection.page_token, question));
  const Place after = PlaceAt(cursor.position);
  std::vector<std::pair<Place, JobSnapshot>> found;
  for (const auto& [name, job] : table.jobs()) {
    if (!selection.states.empty() && !selection.states.count(job->state)) {
      continue;
    }
    const Place place = PlaceOf(*job);
    if (place > after) found.emplace_back(place, job);
  }
  const size_t size =
      std::min(found.size(), static_cast<size_t>(selection.page_size));
  std::partial_sort(
      found.begin(), found.begin() + static_cast<std::ptrdiff_t>(size),
      found.end(),
      [](const auto& a, const auto& b) { return a.first < b.first; });
  JobPage page;
  for (size_t i = 0; i < size; ++i) page.jobs.push_back(found[i].second);
  if (size < found.size()) {
    page.next_page_token =
        EncodePage({.position = PositionOf(found[size - 1].first)}, question);
  }
  return page;
}

}  // namespace longspan::coordinator
