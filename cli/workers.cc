// longspan workers: the nodes, their devices and who uses them.
#include <algorithm>
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/format_job.h"
#include "cli/format_table.h"
#include "cli/print_json.h"
#include "cli/report_error.h"
#include "common/base/units.h"

namespace longspan::cli {
namespace {

std::string DevicesText(const v1::WorkerInfo& info) {
  if (info.devices().empty()) return "none";
  const v1::Device& first = info.devices(0);
  std::string threads = first.threads() > 0
                            ? absl::StrCat(" x ", first.threads(), " threads")
                            : "";
  return absl::StrCat(info.devices_size(), " ", first.kind(), threads);
}

std::vector<std::string> Row(const v1::Worker& worker, absl::Time now) {
  auto used = std::count_if(
      worker.slots().begin(), worker.slots().end(),
      [](const v1::SlotUse& slot) { return !slot.attempt().empty(); });
  int64_t memory = 0;
  for (const v1::Device& device : worker.info().devices()) {
    memory = std::max(memory, device.memory_bytes());
  }
  return {ShortName(worker.name()),
          absl::AsciiStrToLower(v1::WorkerState_Name(worker.state())),
          DevicesText(worker.info()),
          absl::StrCat(used, "/", worker.info().devices_size()),
          FormatBytes(memory),
          worker.info().build(),
          worker.info().metrics_address(),
          Ago(worker.last_heartbeat(), now)};
}

}  // namespace

ExitCode RunWorkers(const WorkersOptions& options) {
  absl::StatusOr<Client> client = Client::Create(options.client);
  if (!client.ok()) return ReportError(client.status());
  v1::ListWorkersRequest request;
  std::vector<std::vector<std::string>> rows;
  do {
    v1::ListWorkersResponse response;
    auto context = client->NewContext();
    grpc::Status status =
        client->stub().ListWorkers(context.get(), request, &response);
    if (!status.ok()) return ReportCallError(*client, status);
    for (const v1::Worker& worker : response.workers()) {
      if (options.json) std::cout << ToJsonLine(worker) << "\n";
      rows.push_back(Row(worker, absl::Now()));
    }
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  if (options.json) return ExitCode::kOk;
  std::cout << FormatTable({{"WORKER"},
                            {"STATE"},
                            {"DEVICES"},
                            {"BUSY", true},
                            {"MEMORY", true},
                            {"BUILD"},
                            {"METRICS"},
                            {"SEEN"}},
                           rows);
  return ExitCode::kOk;
}

}  // namespace longspan::cli
