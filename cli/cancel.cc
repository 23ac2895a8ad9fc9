// longspan cancel: asks a job to stop.
#include <iostream>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/format_job.h"
#include "cli/report_error.h"

namespace longspan::cli {

ExitCode RunCancel(const CancelOptions& options) {
  absl::StatusOr<Client> client = Client::Create(options.client);
  if (!client.ok()) return ReportError(client.status());
  v1::CancelJobRequest request;
  request.set_name(FullJobName(options.job));
  request.set_reason(options.reason);
  v1::Job job;
  auto context = client->NewContext();
  grpc::Status status = client->stub().CancelJob(context.get(), request, &job);
  if (!status.ok()) return ReportCallError(*client, status);
  std::cout << job.name() << " " << StateName(job.state()) << "\n";
  return ExitCode::kOk;
}

}  // namespace longspan::cli
