#include "coordinator/status_page/job_selection.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

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

absl::StatusOr<Place> ParseToken(const std::string& token) {
  if (token.empty()) return Place{-1, 0};
  const std::vector<std::string> parts = absl::StrSplit(token, '.');
  int64_t revision = 0;
  Place place;
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[0], &place.first) ||
      !absl::SimpleAtoi(parts[1], &revision) || revision < 0) {
    return absl::InvalidArgumentError(
        "page_token is not the next_page_token of a page");
  }
  place.second = -revision;
  return place;
}

std::string TokenOf(const Job& job) {
  return absl::StrCat(GroupOf(job.state), ".", job.create_revision);
}

}  // namespace

absl::StatusOr<JobPage> SelectJobs(const JobTable& table,
                                   const JobSelection& selection) {
  const absl::StatusOr<Place> after = ParseToken(selection.page_token);
  if (!after.ok()) return after.status();
  std::vector<std::pair<Place, JobSnapshot>> found;
  for (const auto& [name, job] : table.jobs()) {
    if (!selection.states.empty() && !selection.states.count(job->state)) {
      continue;
    }
    const Place place = PlaceOf(*job);
    if (place > *after) found.emplace_back(place, job);
  }
  const size_t size =
      std::min(found.size(), static_cast<size_t>(selection.page_size));
  std::partial_sort(
      found.begin(), found.begin() + static_cast<std::ptrdiff_t>(size),
      found.end(),
      [](const auto& a, const auto& b) { return a.first < b.first; });
  JobPage page;
  for (size_t i = 0; i < size; ++i) page.jobs.push_back(found[i].second);
  if (size < found.size()) page.next_page_token = TokenOf(*page.jobs.back());
  return page;
}

}  // namespace longspan::coordinator
