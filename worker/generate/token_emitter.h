// What becomes of a sampled token: it passes the stop strings, goes out to the
// reader, enters the outcome, and its latency is measured.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "worker/generate/generate_job.h"
#include "worker/generate/sampler.h"
#include "worker/generate/stop_matcher.h"

namespace longspan::worker {

class TokenEmitter {
 public:
  // `started`: when the job began, on env.clock.
  TokenEmitter(const GenerateOptions& options, const GenerateEnvironment& env,
               absl::Duration started);

  // False: a stop string is complete.
  bool Emit(const SampledToken& token);

  // Ends the text; `reason` is "length" or "stop".
  GenerateOutcome Finish(const std::string& reason);

 private:
  void Send(std::vector<GeneratedToken> tokens);
  void Measure();
  void SendSamples();

  const GenerateOptions& options_;
  const GenerateEnvironment& env_;
  const absl::Duration started_;
  StopMatcher matcher_;
  GenerateOutcome outcome_;
  absl::Duration first_token_at_;
  absl::Duration last_token_at_;
  std::vector<MetricSample> samples_;
};

}  // namespace longspan::worker
