// longspan list: the jobs of a tenant, newest first.
#include <algorithm>
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/format_job.h"
#include "cli/format_table.h"
#include "cli/print_json.h"
#include "cli/report_error.h"

namespace longspan::cli {
namespace {

constexpr int kPageSize = 100;

std::vector<std::string> Row(const v1::Job& job, absl::Time now) {
  const v1::Progress& progress = job.progress();
  std::string percent =
      job.state() == v1::SUCCEEDED
          ? "100%"
          : absl::StrCat(static_cast<int>(progress.fraction() * 100), "%");
  return {ShortName(job.name()),
          job.spec().name(),
          KindOf(job.spec()),
          absl::StrCat(job.spec().resources().ranks()),
          StateName(job.state()),
          percent,
          Ago(job.create_time(), now),
          job.state() == v1::FAILED ? job.error() : job.pending_reason()};
}

void Print(const std::vector<v1::Job>& jobs) {
  std::vector<std::vector<std::string>> rows;
  for (const v1::Job& job : jobs) rows.push_back(Row(job, absl::Now()));
  std::cout << FormatTable({{"JOB"},
                            {"TITLE"},
                            {"KIND"},
                            {"RANKS", true},
                            {"STATE"},
                            {"DONE", true},
                            {"CREATED"},
                            {"NOTE"}},
                           rows);
}

}  // namespace

ExitCode RunList(const ListOptions& options) {
  absl::StatusOr<Client> client = Client::Create(options.client);
  if (!client.ok()) return ReportError(client.status());
  v1::ListJobsRequest request;
  request.set_parent(absl::StrCat("tenants/", options.tenant));
  for (const std::string& state : options.states) {
    request.add_states(StateOfName(state));
  }
  std::vector<v1::Job> jobs;
  do {
    request.set_page_size(
        std::min(kPageSize, options.limit - static_cast<int>(jobs.size())));
    v1::ListJobsResponse response;
    auto context = client->NewContext();
    grpc::Status status =
        client->stub().ListJobs(context.get(), request, &response);
    if (!status.ok()) return ReportCallError(*client, status);
    jobs.insert(jobs.end(), response.jobs().begin(), response.jobs().end());
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty() &&
           static_cast<int>(jobs.size()) < options.limit);
  if (!options.json) {
    Print(jobs);
    return ExitCode::kOk;
  }
  for (const v1::Job& job : jobs) std::cout << ToJsonLine(job) << "\n";
  return ExitCode::kOk;
}

}  // namespace longspan::cli
