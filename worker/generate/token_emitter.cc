#include "worker/generate/token_emitter.h"

#include <iterator>
#include <utility>

namespace longspan::worker {
namespace {

// Latencies travel to the agent in batches of this many.
constexpr size_t kSamplesPerMessage = 64;

}  // namespace

TokenEmitter::TokenEmitter(const GenerateOptions& options,
                           const GenerateEnvironment& env,
                           absl::Duration started)
    : options_(options), env_(env), started_(started), matcher_(options.stop) {}

bool TokenEmitter::Emit(const SampledToken& token) {
  Measure();
  GeneratedToken generated = {
      .id = token.id, .text = std::string(1, static_cast<char>(token.id))};
  if (options_.log_probabilities) {
    generated.log_probability = token.log_probability;
  }
  Send(matcher_.Push(std::move(generated)));
  return !matcher_.stopped();
}

void TokenEmitter::Send(std::vector<GeneratedToken> tokens) {
  if (tokens.empty()) return;
  for (const GeneratedToken& token : tokens) {
    outcome_.token_ids.push_back(token.id);
    outcome_.text += token.text;
  }
  env_.reporter->Tokens(tokens);
}

void TokenEmitter::Measure() {
  const absl::Duration now = env_.clock->Monotonic();
  if (outcome_.generated_tokens++ == 0) {
    first_token_at_ = now;
    outcome_.time_to_first_token = now - started_;
    samples_.push_back(
        {.metric = MetricId::kTimeToFirstToken,
         .value = absl::ToDoubleSeconds(outcome_.time_to_first_token)});
  } else {
    samples_.push_back({.metric = MetricId::kInterTokenLatency,
                        .value = absl::ToDoubleSeconds(now - last_token_at_)});
  }
  last_token_at_ = now;
  if (samples_.size() >= kSamplesPerMessage) SendSamples();
}

void TokenEmitter::SendSamples() {
  if (samples_.empty()) return;
  const auto tokens = static_cast<double>(samples_.size());
  samples_.push_back({.metric = MetricId::kGeneratedTokens, .value = tokens});
  samples_.push_back({.metric = MetricId::kTokensProcessed,
                      .value = tokens,
                      .labels = {{"kind", "generate"}}});
  env_.reporter->Metrics(std::exchange(samples_, {}));
}

GenerateOutcome TokenEmitter::Finish(const std::string& reason) {
  Send(matcher_.Finish());
  SendSamples();
  outcome_.finish_reason = reason;
  if (outcome_.generated_tokens > 0) {
    outcome_.generation_time = last_token_at_ - first_token_at_;
  }
  return std::move(outcome_);
}

}  // namespace longspan::worker
