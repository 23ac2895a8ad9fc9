// The arithmetic of an evaluation: sums of the tokens' losses, overall and by
// position in the text.
//
// Position is the index of the predicted token, so the first one that is
// scored has position 1. Sums are double, added in order of position within a
// rank; ranks are added by whoever sums `values()` over them.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace longspan::worker {

struct BucketScore {
  int64_t begin = 0;  // positions [begin, end)
  int64_t end = 0;
  int64_t tokens = 0;
  double loss = 0.0;  // mean, nats per token
};

struct Scores {
  int64_t tokens = 0;
  double loss = 0.0;  // mean, nats per token
  double perplexity = 0.0;
  double bits_per_byte = 0.0;
  std::vector<BucketScore> buckets;  // those with tokens
};

class ScoreBoard {
 public:
  // `bounds`: rising, positive upper bounds of the buckets; one more bucket
  // takes what lies beyond the last. Empty: powers of 4. kInvalidArgument
  // names the bound that does not rise. `tokens` is the length of the text.
  static absl::StatusOr<ScoreBoard> Create(absl::Span<const int64_t> bounds,
                                           int64_t tokens);

  void Add(int64_t position, double loss);

  // Loss sums and counts of all buckets, [2 * buckets] doubles, to be summed
  // over ranks in place. Counts are exact below 2^53.
  absl::Span<double> values() { return absl::MakeSpan(values_); }

  // `bytes`: what the scored tokens stand for (byte tokens: as many).
  Scores Summarise(int64_t bytes) const;

 private:
  explicit ScoreBoard(std::vector<int64_t> bounds);

  std::vector<int64_t> bounds_;  // the last one is the text's end
  std::vector<double> values_;   // losses, then counts
  size_t bucket_ = 0;            // of the last position, which rises mostly
};

}  // namespace longspan::worker
