// longspan submit: a job file to the coordinator.
#include <iostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "cli/check_job_file.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/event_view.h"
#include "cli/print_json.h"
#include "cli/report_error.h"
#include "cli/request_id.h"
#include "cli/watch_job.h"

namespace longspan::cli {
namespace {

constexpr double kReconnectSeconds = 600;

}  // namespace

ExitCode RunSubmit(const SubmitOptions& options) {
  v1::CreateJobRequest request;
  ExitCode checked = LoadJobFile(options.file, request.mutable_text());
  if (checked != ExitCode::kOk) return checked;
  request.set_parent(absl::StrCat("tenants/", options.tenant));
  request.set_request_id(options.request_id.empty() ? NewRequestId()
                                                    : options.request_id);
  absl::StatusOr<Client> client = Client::Create(options.client);
  if (!client.ok()) return ReportError(client.status());
  v1::CreateJobResponse response;
  auto context = client->NewContext();
  grpc::Status status =
      client->stub().CreateJob(context.get(), request, &response);
  if (!status.ok()) return ReportCallError(*client, status);
  const std::string& name = response.job().name();
  if (!options.watch) {
    std::cout << (options.json ? ToJsonText(response.job()) : name + "\n");
    return ExitCode::kOk;
  }
  std::cerr << name << std::endl;
  auto view = NewViewForStdout(options.json);
  return WatchJob(*client, name, "", kReconnectSeconds, view.get());
}

}  // namespace longspan::cli
