// The job "generate": continues a prompt.
//
// The whole gang reads the prompt but its last token, in pieces that are
// shared out over the ranks, as in training. When all have confirmed that
// state, rank 0 alone goes on from it, one token at a time, beginning with the
// prompt's last; the other ranks wait, asleep, until it has finished or died.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "worker/data/token_source.h"
#include "worker/generate/sampler.h"
#include "worker/job/job_reporter.h"
#include "worker/job/stop_request.h"
#include "worker/model/model.h"
#include "worker/parallel/rank_context.h"

namespace longspan::worker {

// Prompts whose log-probabilities can be returned: they travel in one message.
inline constexpr int64_t kMaxScoredPromptTokens = 65536;

struct GenerateOptions {
  int64_t max_new_tokens = 0;
  SamplingOptions sampling;
  std::vector<std::string> stop;
  bool log_probabilities = false;
  bool prompt_log_probabilities = false;
  int64_t piece_length = 65536;
};

// What the job works with. Owns nothing.
struct GenerateEnvironment {
  Model* model = nullptr;
  RankContext context;
  const TokenSource* prompt = nullptr;  // its first token to its last
  const StopRequest* stop = nullptr;
  JobReporter* reporter = nullptr;
  const Clock* clock = nullptr;
};

struct GenerateOutcome {
  std::vector<int32_t> token_ids;
  std::string text;
  std::string finish_reason;           // "length" or "stop"
  int64_t generated_tokens = 0;        // those of the stop string included
  absl::Duration time_to_first_token;  // since the job began
  absl::Duration generation_time;      // since the first token
  // Of the prompt's tokens but the first, natural log; if asked for.
  std::vector<double> prompt_log_probabilities;
};

// Rank 0 reports tokens and returns them; other ranks return an empty outcome.
// kCancelled after a stop request. kInvalidArgument names what is wrong with
// the options.
absl::StatusOr<GenerateOutcome> RunGenerate(const GenerateOptions& options,
                                            const GenerateEnvironment& env);

}  // namespace longspan::worker
