// longspan plan: what a job would hold and send, or every reason why not.
#include <iostream>

#include "cli/check_job_file.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/format_plan.h"
#include "cli/print_json.h"
#include "cli/report_error.h"

namespace longspan::cli {

ExitCode RunPlan(const PlanOptions& options) {
  v1::CreateJobRequest request;
  ExitCode checked = LoadJobFile(options.file, request.mutable_text());
  if (checked != ExitCode::kOk) return checked;
  request.set_parent("tenants/default");
  request.set_validate_only(true);
  absl::StatusOr<Client> client = Client::Create(options.client);
  if (!client.ok()) return ReportError(client.status());
  v1::CreateJobResponse response;
  auto context = client->NewContext();
  grpc::Status status =
      client->stub().CreateJob(context.get(), request, &response);
  if (!status.ok()) return ReportCallError(*client, status);
  std::cout << (options.json ? ToJsonText(response.plan())
                             : FormatPlan(response.plan()));
  return ExitCode::kOk;
}

}  // namespace longspan::cli
