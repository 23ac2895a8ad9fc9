// longspan watch: a job's events until it ends.
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/event_view.h"
#include "cli/report_error.h"
#include "cli/watch_job.h"

namespace longspan::cli {

ExitCode RunWatch(const WatchOptions& options) {
  absl::StatusOr<Client> client = Client::Create(options.client);
  if (!client.ok()) return ReportError(client.status());
  auto view = NewViewForStdout(options.json);
  return WatchJob(*client, FullJobName(options.job), options.resume_token,
                  options.reconnect_seconds, view.get());
}

}  // namespace longspan::cli
