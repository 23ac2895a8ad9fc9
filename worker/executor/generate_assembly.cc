#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "longspan/internal/executor.pb.h"
#include "worker/executor/executor_job.h"
#include "worker/executor/model_loader.h"
#include "worker/executor/open_text.h"
#include "worker/executor/proto_time.h"
#include "worker/generate/generate_job.h"

namespace longspan::worker {
namespace {

absl::StatusOr<std::unique_ptr<TokenSource>> PromptOfIds(
    const v1::TokenIds& ids) {
  std::string text;
  for (int32_t id : ids.ids()) {
    if (id < 0 || id >= TokenSource::kVocabulary) {
      return absl::InvalidArgumentError(
          absl::StrCat("prompt: token id ", id, " is outside [0, ",
                       TokenSource::kVocabulary, ")"));
    }
    text.push_back(static_cast<char>(id));
  }
  return TokenSource::FromText(std::move(text), "prompt");
}

absl::StatusOr<std::unique_ptr<TokenSource>> OpenPrompt(
    const Roots& roots, const v1::GenerateSpec& spec) {
  switch (spec.prompt_case()) {
    case v1::GenerateSpec::kText:
      return TokenSource::FromText(spec.text(), "prompt");
    case v1::GenerateSpec::kTokenIds:
      return PromptOfIds(spec.token_ids());
    case v1::GenerateSpec::kPromptData:
      return OpenText(roots, spec.prompt_data());
    case v1::GenerateSpec::PROMPT_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError(
      "generate: no prompt; give text, token_ids or prompt_data");
}

GenerateOptions OptionsOf(const v1::GenerateSpec& spec) {
  const v1::SamplingSpec& sampling = spec.sampling();
  GenerateOptions options = {
      .max_new_tokens = spec.max_new_tokens(),
      .sampling = {.top_k = sampling.top_k(), .seed = sampling.seed()},
      .stop = {sampling.stop().begin(), sampling.stop().end()},
      .log_probabilities = spec.log_probabilities()};
  if (sampling.has_temperature()) {
    options.sampling.temperature = sampling.temperature();
  }
  if (sampling.has_top_p()) options.sampling.top_p = sampling.top_p();
  if (spec.piece_length() > 0) options.piece_length = spec.piece_length();
  return options;
}

void WriteOutcome(const GenerateOutcome& from, int64_t prompt_tokens,
                  v1::GenerateResult* to) {
  to->mutable_token_ids()->Add(from.token_ids.begin(), from.token_ids.end());
  to->set_text(from.text);
  to->set_finish_reason(from.finish_reason);
  v1::Usage* usage = to->mutable_usage();
  usage->set_prompt_tokens(prompt_tokens);
  usage->set_generated_tokens(from.generated_tokens);
  WriteDuration(from.time_to_first_token, usage->mutable_time_to_first_token());
  WriteDuration(from.generation_time, usage->mutable_generation_time());
}

class GenerateExecutorJob final : public ExecutorJob {
 public:
  explicit GenerateExecutorJob(const JobParts& parts)
      : parts_(parts),
        spec_(parts.assignment->assignment().spec().generate()) {}

  absl::Status Prepare() {
    if (spec_.prompt_log_probabilities()) {
      return absl::UnimplementedError(
          "generate: prompt_log_probabilities have no place in the result yet; "
          "score the prompt with an evaluate job");
    }
    ASSIGN_OR_RETURN(prompt_, OpenPrompt(parts_.roots, spec_));
    ASSIGN_OR_RETURN(const std::unique_ptr<CheckpointReader> checkpoint,
                     OpenCheckpoint(parts_.roots,
                                    parts_.assignment->assignment().model_uri(),
                                    spec_.model().step()));
    parts_.memory->Restart();
    ASSIGN_OR_RETURN(model_, LoadModel(*checkpoint, parts_.context));
    return absl::OkStatus();
  }

  absl::Status Run(v1::JobResult* result) override {
    ASSIGN_OR_RETURN(const GenerateOutcome outcome,
                     RunGenerate(OptionsOf(spec_), {.model = model_.model.get(),
                                                    .context = parts_.context,
                                                    .prompt = prompt_.get(),
                                                    .stop = parts_.stop,
                                                    .reporter = parts_.reporter,
                                                    .clock = parts_.clock}));
    WriteOutcome(outcome, prompt_->size(), result->mutable_generate());
    return absl::OkStatus();
  }

 private:
  const JobParts parts_;
  const v1::GenerateSpec& spec_;
  std::unique_ptr<TokenSource> prompt_;
  LoadedModel model_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ExecutorJob>> AssembleGenerate(
    const JobParts& parts) {
  auto job = std::make_unique<GenerateExecutorJob>(parts);
  RETURN_IF_ERROR(job->Prepare());
  return job;
}

}  // namespace longspan::worker
