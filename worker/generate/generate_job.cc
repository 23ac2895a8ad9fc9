#include "worker/generate/generate_job.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "worker/generate/decoder.h"
#include "worker/generate/token_emitter.h"
#include "worker/job/run_agreement.h"
#include "worker/parallel/gradient_sync.h"
#include "worker/text_pass/text_pass.h"

namespace longspan::worker {
namespace {

// Byte tokens: a token's text is the token.
constexpr int64_t kByteVocabulary = 256;

// How long the other ranks wait for rank 0. A rank that dies is noticed at
// once; this bounds the wait for one that hangs.
constexpr absl::Duration kLongestGeneration = absl::Hours(24);

absl::Status CheckOptions(const GenerateOptions& options,
                          const GenerateEnvironment& env) {
  RETURN_IF_ERROR(CheckSamplingOptions(options.sampling));
  if (env.prompt->size() < 1) {
    return absl::InvalidArgumentError(
        "generate: the prompt is empty; at least one token is needed");
  }
  if (options.max_new_tokens < 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "generate: max_new_tokens ", options.max_new_tokens, " is negative"));
  }
  if (options.prompt_log_probabilities &&
      env.prompt->size() > kMaxScoredPromptTokens) {
    return absl::InvalidArgumentError(absl::StrCat(
        "generate: prompt_log_probabilities of ", env.prompt->size(),
        " tokens; the limit is ", kMaxScoredPromptTokens,
        ". Score longer texts with an evaluate job"));
  }
  if (env.model->spec().vocabulary_size != kByteVocabulary) {
    return absl::InvalidArgumentError(absl::StrCat(
        "generate: vocabulary of ", env.model->spec().vocabulary_size,
        " tokens; only byte tokens (256) can be turned into text"));
  }
  return absl::OkStatus();
}

void ReportPrefill(const GenerateEnvironment& env, int64_t done,
                   absl::Duration elapsed) {
  JobProgress progress;
  progress.done = done;
  progress.total = env.prompt->size();
  progress.unit = "tokens";
  progress.phase = "prefill";
  progress.fraction = static_cast<double>(done) / env.prompt->size();
  progress.tokens = done;
  if (elapsed > absl::ZeroDuration()) {
    progress.tokens_per_second = done / absl::ToDoubleSeconds(elapsed);
  }
  env.reporter->Progress(progress);
}

// The whole gang reads the prompt but its last token. Returns this rank's
// share of the log-probabilities, zero elsewhere.
absl::StatusOr<std::vector<double>> Prefill(const GenerateOptions& options,
                                            const GenerateEnvironment& env,
                                            TextPass& pass) {
  std::vector<double> log_probabilities;
  if (options.prompt_log_probabilities) {
    log_probabilities.resize(env.prompt->size() - 1);
  }
  const absl::Duration start = env.clock->Monotonic();
  RunAgreement agreement(env.context.group);
  while (!pass.done()) {
    agreement.Start(0.0, env.stop->requested());
    ASSIGN_OR_RETURN(const PieceScores piece, pass.RunPiece());
    for (size_t i = 0; i < piece.nll.size(); ++i) {
      log_probabilities[piece.first_position - 1 + i] = -piece.nll[i];
    }
    ASSIGN_OR_RETURN(const Agreed agreed, agreement.Finish());
    if (agreed.stop) return env.stop->AsStatus();
    if (env.context.rank() != 0) continue;
    ReportPrefill(env, pass.tokens_done(), env.clock->Monotonic() - start);
  }
  return log_probabilities;
}

// Proves what the prompt's collectives moved (process_group.h: order) while
// all ranks still take part. Rank 0 asks the group nothing more before it has
// streamed its last token.
absl::Status ConfirmState(const GenerateEnvironment& env) {
  if (env.context.group == nullptr) return absl::OkStatus();
  RETURN_IF_ERROR(env.context.stream->Synchronize());
  return env.context.group->Barrier();
}

absl::Status SumOverAllRanks(const GenerateEnvironment& env,
                             std::vector<double>& values) {
  if (values.empty()) return absl::OkStatus();
  return SumOverRanks(
      env.context, kernels::TensorView(values.data(), kernels::DType::kF64,
                                       {static_cast<int64_t>(values.size())}));
}

int32_t LastToken(const TokenSource& prompt) {
  return static_cast<unsigned char>(prompt.text().back());
}

absl::StatusOr<GenerateOutcome> Decode(const GenerateOptions& options,
                                       const GenerateEnvironment& env,
                                       TextPass& pass, absl::Duration started) {
  int32_t token = LastToken(*env.prompt);
  ASSIGN_OR_RETURN(Sampler sampler,
                   Sampler::Create(pass.solo_context(), options.sampling));
  Decoder decoder(*env.model, pass.solo_context(), pass.state(),
                  std::move(sampler));
  TokenEmitter emitter(options, env, started);
  for (int64_t i = 0; i < options.max_new_tokens; ++i) {
    if (env.stop->requested()) return env.stop->AsStatus();
    ASSIGN_OR_RETURN(const SampledToken sampled, decoder.Step(token));
    if (!emitter.Emit(sampled)) return emitter.Finish("stop");
    token = sampled.id;
  }
  return emitter.Finish("length");
}

// Every rank returns here when rank 0 has generated its last token.
absl::Status EndTogether(const GenerateEnvironment& env, bool stopped) {
  if (env.context.group != nullptr) {
    env.context.group->SetTimeout(kLongestGeneration);
  }
  RunAgreement agreement(env.context.group);
  agreement.Start(0.0, stopped);
  ASSIGN_OR_RETURN(const Agreed agreed, agreement.Finish());
  return agreed.stop ? env.stop->AsStatus() : absl::OkStatus();
}

absl::StatusOr<GenerateOutcome> DecodeOrWait(const GenerateOptions& options,
                                             const GenerateEnvironment& env,
                                             TextPass& pass,
                                             absl::Duration started) {
  if (env.context.rank() != 0) {
    RETURN_IF_ERROR(EndTogether(env, false));
    return GenerateOutcome();
  }
  env.reporter->Metrics({{.metric = MetricId::kPromptTokens,
                          .value = static_cast<double>(env.prompt->size())},
                         {.metric = MetricId::kTokensProcessed,
                          .value = static_cast<double>(env.prompt->size()),
                          .labels = {{"kind", "prefill"}}}});
  absl::StatusOr<GenerateOutcome> outcome = Decode(options, env, pass, started);
  if (!outcome.ok() && !absl::IsCancelled(outcome.status())) return outcome;
  RETURN_IF_ERROR(EndTogether(env, !outcome.ok()));
  return outcome;
}

}  // namespace

absl::StatusOr<GenerateOutcome> RunGenerate(const GenerateOptions& options,
                                            const GenerateEnvironment& env) {
  const absl::Duration started = env.clock->Monotonic();
  RETURN_IF_ERROR(CheckOptions(options, env));
  ASSIGN_OR_RETURN(
      const std::unique_ptr<TextPass> pass,
      TextPass::Create(
          *env.model, env.context, *env.prompt,
          {.tokens = env.prompt->size() - 1,
           .piece_length = options.piece_length,
           .score = options.prompt_log_probabilities,
           .context_tokens = env.prompt->size() + options.max_new_tokens}));
  ASSIGN_OR_RETURN(std::vector<double> log_probabilities,
                   Prefill(options, env, *pass));
  RETURN_IF_ERROR(ConfirmState(env));
  RETURN_IF_ERROR(SumOverAllRanks(env, log_probabilities));
  ASSIGN_OR_RETURN(GenerateOutcome outcome,
                   DecodeOrWait(options, env, *pass, started));
  if (env.context.rank() == 0) {
    outcome.prompt_log_probabilities = std::move(log_probabilities);
  }
  return outcome;
}

}  // namespace longspan::worker
