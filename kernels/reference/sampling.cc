// The executable definition of kernels/api/sampling.h.
#include "kernels/api/sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "common/base/status_macros.h"
#include "kernels/api/sampling_operands.h"
#include "kernels/reference/reference_ops.h"
#include "kernels/reference/scalar_access.h"

namespace longspan::kernels {
namespace {

struct Candidate {
  uint32_t distance;
  int32_t id;
  uint64_t weight;
  bool operator<(const Candidate& other) const {
    return std::make_pair(distance, id) <
           std::make_pair(other.distance, other.id);
  }
};

uint64_t TotalWeight(const std::vector<Candidate>& candidates) {
  uint64_t total = 0;
  for (const Candidate& candidate : candidates) total += candidate.weight;
  return total;
}

// Index of the candidate in which the running sum of weights reaches `target`.
size_t Reaches(const std::vector<Candidate>& candidates, double target) {
  uint64_t sum = 0;
  for (size_t i = 0; i < candidates.size(); ++i) {
    sum += candidates[i].weight;
    if (static_cast<double>(sum) >= target) return i;
  }
  return candidates.size() - 1;
}

int32_t Draw(const std::vector<double>& logits, double max,
             const SamplingInputs& inputs, int64_t row) {
  const double temperature = Load(inputs.temperature, {row});
  const double factor = SamplingFactor(temperature);
  const auto top_k = static_cast<size_t>(inputs.top_k.data_as<int32_t>()[row]);
  std::vector<Candidate> kept;
  for (size_t i = 0; i < logits.size(); ++i) {
    const uint32_t distance = SamplingDistance(max, logits[i], factor);
    kept.push_back(
        {distance, static_cast<int32_t>(i), SamplingWeight(distance)});
  }
  std::sort(kept.begin(), kept.end());
  if (top_k > 0 && top_k < kept.size()) kept.resize(top_k);
  const double share =
      Load(inputs.top_p, {row}) * static_cast<double>(TotalWeight(kept));
  kept.resize(Reaches(kept, std::max(share, 1.0)) + 1);
  const double uniform = temperature == 0.0 ? 0.0 : Load(inputs.uniform, {row});
  const double at =
      std::floor(uniform * static_cast<double>(TotalWeight(kept)));
  return kept[Reaches(kept, at + 1)].id;
}

double LogSumExp(const std::vector<double>& logits, double max) {
  double sum = 0.0;
  for (double logit : logits) sum += std::exp(logit - max);
  return max + std::log(sum);
}

void SampleRow(const SamplingInputs& inputs, const SamplingOutputs& outputs,
               int64_t row) {
  std::vector<double> logits;
  for (int64_t i = 0; i < inputs.logits.size(1); ++i) {
    logits.push_back(Load(inputs.logits, {row, i}));
    if (std::isfinite(logits.back())) continue;
    outputs.ids.data_as<int32_t>()[row] = static_cast<int32_t>(-1 - i);
    Store(outputs.log_probabilities, {row},
          std::numeric_limits<double>::quiet_NaN());
    return;
  }
  const double max = *std::max_element(logits.begin(), logits.end());
  const int32_t id = Draw(logits, max, inputs, row);
  outputs.ids.data_as<int32_t>()[row] = id;
  Store(outputs.log_probabilities, {row}, logits[id] - LogSumExp(logits, max));
}

class ReferenceSampling : public Sampling {
 public:
  absl::Status Sample(const SamplingInputs& inputs,
                      const SamplingOutputs& outputs, Stream&) override {
    RETURN_IF_ERROR(CheckSampling(inputs, outputs, kReferenceOperands));
    for (int64_t row = 0; row < inputs.logits.size(0); ++row) {
      SampleRow(inputs, outputs, row);
    }
    return absl::OkStatus();
  }
};

}  // namespace

std::unique_ptr<Sampling> CreateReferenceSampling() {
  return std::make_unique<ReferenceSampling>();
}

}  // namespace longspan::kernels
