// longspan get: everything about one job.
#include <iostream>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/format_job.h"
#include "cli/print_json.h"
#include "cli/report_error.h"

namespace longspan::cli {

ExitCode RunGet(const GetOptions& options) {
  absl::StatusOr<Client> client = Client::Create(options.client);
  if (!client.ok()) return ReportError(client.status());
  v1::GetJobRequest request;
  request.set_name(FullJobName(options.job));
  v1::Job job;
  auto context = client->NewContext();
  grpc::Status status = client->stub().GetJob(context.get(), request, &job);
  if (!status.ok()) return ReportCallError(*client, status);
  std::cout << (options.json ? ToJsonText(job) : FormatJob(job, absl::Now()));
  return ExitCode::kOk;
}

}  // namespace longspan::cli
