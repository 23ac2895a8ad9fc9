#include "worker/generate/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/random.h"
#include "common/base/status_macros.h"

namespace longspan::worker {
namespace {

absl::Status CheckFinite(absl::Span<const double> logits) {
  for (size_t i = 0; i < logits.size(); ++i) {
    if (std::isfinite(logits[i])) continue;
    return absl::InternalError(
        absl::StrCat("the logit of token ", i, " is ", logits[i]));
  }
  return absl::OkStatus();
}

std::vector<int32_t> Candidates(absl::Span<const double> logits,
                                int32_t top_k) {
  std::vector<int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  size_t keep = ids.size();
  if (top_k > 0) keep = std::min(keep, static_cast<size_t>(top_k));
  std::partial_sort(ids.begin(), ids.begin() + static_cast<ptrdiff_t>(keep),
                    ids.end(), [&](int32_t a, int32_t b) {
                      return logits[a] != logits[b] ? logits[a] > logits[b]
                                                    : a < b;
                    });
  ids.resize(keep);
  return ids;
}

// The running sums of the candidates' unnormalised probabilities, cut where
// they reach top_p of their total.
std::vector<double> CumulativeWeights(absl::Span<const double> logits,
                                      const std::vector<int32_t>& ids,
                                      const SamplingOptions& options) {
  std::vector<double> sums;
  sums.reserve(ids.size());
  double total = 0.0;
  for (int32_t id : ids) {
    total += std::exp((logits[id] - logits[ids[0]]) / options.temperature);
    sums.push_back(total);
  }
  const auto end =
      std::lower_bound(sums.begin(), sums.end(), options.top_p * total);
  if (end != sums.end()) sums.resize(end - sums.begin() + 1);
  return sums;
}

int32_t Choose(absl::Span<const double> logits, const SamplingOptions& options,
               int64_t position) {
  const bool greedy = options.temperature == 0.0;
  const std::vector<int32_t> ids =
      Candidates(logits, greedy ? 1 : options.top_k);
  if (greedy) return ids[0];
  const std::vector<double> sums = CumulativeWeights(logits, ids, options);
  const RandomKey key = {.seed = options.seed,
                         .purpose = RandomPurpose::kSampling};
  const double at =
      RandomUniform(key, static_cast<uint64_t>(position)) * sums.back();
  const auto chosen = std::upper_bound(sums.begin(), sums.end(), at);
  const auto last = static_cast<ptrdiff_t>(sums.size()) - 1;
  return ids[std::min(chosen - sums.begin(), last)];
}

}  // namespace

absl::Status CheckSamplingOptions(const SamplingOptions& options) {
  std::string errors;
  if (!(options.temperature >= 0.0) || std::isinf(options.temperature)) {
    absl::StrAppend(&errors, "temperature ", options.temperature,
                    " must be 0 (greedy) or a positive number; ");
  }
  if (options.top_k < 0) {
    absl::StrAppend(&errors, "top_k ", options.top_k,
                    " must be 0 (all tokens) or positive; ");
  }
  if (!(options.top_p > 0.0 && options.top_p <= 1.0)) {
    absl::StrAppend(&errors, "top_p ", options.top_p,
                    " must be above 0 and at most 1 (all tokens); ");
  }
  if (errors.empty()) return absl::OkStatus();
  errors.resize(errors.size() - 2);
  return absl::InvalidArgumentError(absl::StrCat("sampling: ", errors));
}

double LogSumExp(absl::Span<const double> logits) {
  const double max = *std::max_element(logits.begin(), logits.end());
  double sum = 0.0;
  for (double logit : logits) sum += std::exp(logit - max);
  return max + std::log(sum);
}

absl::StatusOr<SampledToken> SampleToken(absl::Span<const double> logits,
                                         const SamplingOptions& options,
                                         int64_t position) {
  RETURN_IF_ERROR(CheckFinite(logits));
  SampledToken token;
  token.id = Choose(logits, options, position);
  token.log_probability = logits[token.id] - LogSumExp(logits);
  return token;
}

}  // namespace longspan::worker
