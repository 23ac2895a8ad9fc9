// longspan logs: what a job's ranks wrote.
#include <chrono>
#include <iostream>
#include <thread>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/report_error.h"

namespace longspan::cli {
namespace {

constexpr std::chrono::milliseconds kRetryWait(500);
constexpr int kMaxRetries = 600;

// Copies until the stream ends; `offset` moves on.
grpc::Status CopyLog(const Client& client, const std::string& job, bool follow,
                     int64_t* offset) {
  v1::ReadJobLogRequest request;
  request.set_name(job);
  request.set_offset(*offset);
  request.set_follow(follow);
  auto context = follow ? client.NewStreamContext() : client.NewContext();
  auto reader = client.stub().ReadJobLog(context.get(), request);
  v1::LogChunk chunk;
  while (reader->Read(&chunk)) {
    std::cout << chunk.data() << std::flush;
    *offset = chunk.offset() + static_cast<int64_t>(chunk.data().size());
  }
  return reader->Finish();
}

}  // namespace

ExitCode RunLogs(const LogsOptions& options) {
  absl::StatusOr<Client> client = Client::Create(options.client);
  if (!client.ok()) return ReportError(client.status());
  int64_t offset = options.offset;
  int retries = 0;
  while (true) {
    int64_t before = offset;
    grpc::Status status =
        CopyLog(*client, FullJobName(options.job), options.follow, &offset);
    if (status.ok()) return ExitCode::kOk;
    retries = offset > before ? 0 : retries + 1;
    bool transient = status.error_code() == grpc::StatusCode::UNAVAILABLE;
    if (!options.follow || !transient || offset == options.offset ||
        retries > kMaxRetries) {
      return ReportCallError(*client, status);
    }
    std::this_thread::sleep_for(kRetryWait);
  }
}

}  // namespace longspan::cli
