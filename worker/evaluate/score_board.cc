#include "worker/evaluate/score_board.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"

namespace longspan::worker {
namespace {

std::vector<int64_t> PowersOfFour(int64_t tokens) {
  std::vector<int64_t> bounds;
  for (int64_t bound = 4; bound < tokens; bound *= 4) bounds.push_back(bound);
  return bounds;
}

}  // namespace

absl::StatusOr<ScoreBoard> ScoreBoard::Create(absl::Span<const int64_t> bounds,
                                              int64_t tokens) {
  std::vector<int64_t> ends(bounds.begin(), bounds.end());
  int64_t previous = 0;
  for (int64_t bound : ends) {
    if (bound <= previous) {
      return absl::InvalidArgumentError(
          absl::StrCat("position_buckets: ", bound, " after ", previous,
                       "; upper bounds must be positive and rise"));
    }
    previous = bound;
  }
  if (ends.empty()) ends = PowersOfFour(tokens);
  std::erase_if(ends, [&](int64_t end) { return end >= tokens; });
  ends.push_back(tokens);
  return ScoreBoard(std::move(ends));
}

ScoreBoard::ScoreBoard(std::vector<int64_t> bounds)
    : bounds_(std::move(bounds)), values_(2 * bounds_.size(), 0.0) {}

void ScoreBoard::Add(int64_t position, double loss) {
  if (bucket_ > 0 && position < bounds_[bucket_ - 1]) bucket_ = 0;
  while (bucket_ + 1 < bounds_.size() && position >= bounds_[bucket_]) {
    ++bucket_;
  }
  values_[bucket_] += loss;
  values_[bounds_.size() + bucket_] += 1.0;
}

Scores ScoreBoard::Summarise(int64_t bytes) const {
  Scores scores;
  double total = 0.0;
  for (size_t i = 0; i < bounds_.size(); ++i) {
    const auto tokens = static_cast<int64_t>(values_[bounds_.size() + i]);
    total += values_[i];
    scores.tokens += tokens;
    if (tokens == 0) continue;
    scores.buckets.push_back({.begin = i == 0 ? 0 : bounds_[i - 1],
                              .end = bounds_[i],
                              .tokens = tokens,
                              .loss = values_[i] / tokens});
  }
  if (scores.tokens == 0) return scores;
  scores.loss = total / static_cast<double>(scores.tokens);
  scores.perplexity = std::exp(scores.loss);
  scores.bits_per_byte =
      total / std::log(2.0) / static_cast<double>(std::max<int64_t>(bytes, 1));
  return scores;
}

}  // namespace longspan::worker
