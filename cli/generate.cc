// longspan generate: a prompt to the cluster, its continuation to stdout.
#include <algorithm>
#include <iostream>
#include <string>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/file_text.h"
#include "cli/format_job.h"
#include "cli/print_json.h"
#include "cli/report_error.h"
#include "cli/request_id.h"
#include "common/base/units.h"

namespace longspan::cli {
namespace {

bool IsAscii(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x80;
  });
}

// Protobuf text is UTF-8; other bytes travel as token ids.
void SetPrompt(const std::string& prompt, v1::GenerateSpec* spec) {
  if (IsAscii(prompt)) {
    spec->set_text(prompt);
    return;
  }
  for (char c : prompt) {
    spec->mutable_token_ids()->add_ids(static_cast<unsigned char>(c));
  }
}

absl::Status FillPrompt(const GenerateOptions& options,
                        v1::GenerateSpec* spec) {
  if (!options.prompt_uri.empty()) {
    v1::DataSpec* data = spec->mutable_prompt_data();
    data->set_uri(options.prompt_uri);
    data->set_begin(options.prompt_begin);
    data->set_end(options.prompt_end);
    return absl::OkStatus();
  }
  if (options.prompt_file.empty()) {
    SetPrompt(options.prompt, spec);
    return absl::OkStatus();
  }
  absl::StatusOr<std::string> text = ReadFileText(options.prompt_file);
  if (text.ok()) SetPrompt(*text, spec);
  return text.status();
}

void FillSampling(const GenerateOptions& options, v1::SamplingSpec* sampling) {
  if (options.temperature) sampling->set_temperature(*options.temperature);
  if (options.top_p) sampling->set_top_p(*options.top_p);
  sampling->set_top_k(options.top_k);
  sampling->set_seed(options.seed);
  for (const std::string& stop : options.stop) sampling->add_stop(stop);
}

absl::Status FillRequest(const GenerateOptions& options,
                         v1::GenerateRequest* request) {
  request->set_parent("tenants/default");
  request->set_request_id(options.request_id.empty() ? NewRequestId()
                                                     : options.request_id);
  request->mutable_resources()->set_ranks(options.ranks);
  request->mutable_resources()->set_backend(options.backend);
  v1::GenerateSpec* spec = request->mutable_generate();
  if (!options.model_uri.empty()) {
    spec->mutable_model()->set_uri(options.model_uri);
  } else {
    spec->mutable_model()->set_job(FullJobName(options.model_job));
    spec->mutable_model()->set_step(options.model_step);
  }
  spec->set_max_new_tokens(options.max_new_tokens);
  spec->set_log_probabilities(options.log_probabilities);
  FillSampling(options, spec->mutable_sampling());
  return FillPrompt(options, spec);
}

void PrintUsage(const v1::GenerateDone& done) {
  const v1::Usage& usage = done.usage();
  double seconds = absl::ToDoubleSeconds(FromProto(usage.generation_time()));
  double first = absl::ToDoubleSeconds(FromProto(usage.time_to_first_token()));
  std::cerr << "\n"
            << usage.generated_tokens() << " tokens after a prompt of "
            << usage.prompt_tokens() << " (" << done.finish_reason() << ")";
  if (first > 0) {
    std::cerr << ", first token after " << FormatElapsed(absl::Seconds(first))
              << " ("
              << FormatCount(static_cast<double>(usage.prompt_tokens()) / first)
              << " prompt tokens/s)";
  }
  if (seconds > 0) {
    double rate = static_cast<double>(usage.generated_tokens()) / seconds;
    std::cerr << ", " << FormatCount(rate) << " tokens/s";
  }
  if (usage.memory_peak_bytes() > 0) {
    std::cerr << ", peak memory of a rank "
              << FormatBytes(usage.memory_peak_bytes());
  }
  std::cerr << std::endl;
}

void OnResponse(const v1::GenerateResponse& response, bool json) {
  if (json) {
    std::cout << ToJsonLine(response) << std::endl;
  } else if (response.has_token()) {
    std::cout << response.token().text() << std::flush;
  } else if (response.has_done()) {
    std::cout << std::endl;
    PrintUsage(response.done());
  }
}

}  // namespace

ExitCode RunGenerate(const GenerateOptions& options) {
  v1::GenerateRequest request;
  absl::Status filled = FillRequest(options, &request);
  if (!filled.ok()) return ReportError(filled);
  absl::StatusOr<Client> client = Client::Create(options.client);
  if (!client.ok()) return ReportError(client.status());
  auto context = client->NewStreamContext();
  auto reader = client->stub().Generate(context.get(), request);
  v1::GenerateResponse response;
  bool done = false;
  while (reader->Read(&response)) {
    OnResponse(response, options.json);
    done = done || response.has_done();
  }
  grpc::Status status = reader->Finish();
  if (!status.ok()) {
    ExitCode code = ReportCallError(*client, status);
    return code == ExitCode::kInternal ? ExitCode::kJobFailed : code;
  }
  return done ? ExitCode::kOk : ExitCode::kJobFailed;
}

}  // namespace longspan::cli
