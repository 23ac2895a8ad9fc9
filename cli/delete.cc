// longspan delete: forgets a finished job; its files stay.
#include <iostream>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/report_error.h"

namespace longspan::cli {

ExitCode RunDelete(const DeleteOptions& options) {
  absl::StatusOr<Client> client = Client::Create(options.client);
  if (!client.ok()) return ReportError(client.status());
  v1::DeleteJobRequest request;
  request.set_name(FullJobName(options.job));
  google::protobuf::Empty response;
  auto context = client->NewContext();
  grpc::Status status =
      client->stub().DeleteJob(context.get(), request, &response);
  if (!status.ok()) return ReportCallError(*client, status);
  std::cout << request.name() << " deleted\n";
  return ExitCode::kOk;
}

}  // namespace longspan::cli
