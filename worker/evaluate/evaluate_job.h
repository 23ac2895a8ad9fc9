// The job "evaluate": the loss of a model on a text.
//
// The text is read once from left to right, in pieces, with the state carried.
// Every token after the first is scored exactly once; a token is predicted
// from all tokens before it.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "worker/data/token_source.h"
#include "worker/evaluate/score_board.h"
#include "worker/job/job_reporter.h"
#include "worker/job/stop_request.h"
#include "worker/model/model.h"
#include "worker/parallel/rank_context.h"

namespace longspan::worker {

struct EvaluateOptions {
  int64_t piece_length = 8192;
  std::vector<int64_t> position_buckets;  // empty: powers of 4
};

// What the job works with. Owns nothing.
struct EvaluateEnvironment {
  Model* model = nullptr;
  RankContext context;
  const TokenSource* text = nullptr;
  const StopRequest* stop = nullptr;
  JobReporter* reporter = nullptr;
  const Clock* clock = nullptr;
};

struct EvaluateOutcome {
  Scores scores;
  double tokens_per_second = 0.0;
};

// Every rank gets the same outcome. kCancelled with the reason after a stop
// request; kInvalidArgument when there is nothing to score.
absl::StatusOr<EvaluateOutcome> RunEvaluate(const EvaluateOptions& options,
                                            const EvaluateEnvironment& env);

}  // namespace longspan::worker
