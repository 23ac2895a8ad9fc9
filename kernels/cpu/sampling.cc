#include "kernels/api/sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "common/base/status_macros.h"
#include "kernels/api/sampling_operands.h"
#include "kernels/cost/rank_digits.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/cpu_stream.h"

namespace longspan::kernels {
namespace {

// The tokens of a row in their ranking, which is searched, not sorted.
template <typename T>
class Ranking {
 public:
  Ranking(const T* logits, int64_t count, double temperature)
      : logits_(logits),
        count_(count),
        factor_(SamplingFactor(temperature)),
        max_(*std::max_element(logits, logits + count)) {}

  double max() const { return max_; }

  // Total weight of all tokens up to `key`.
  uint64_t WeightThrough(uint64_t key) const {
    uint64_t sum = 0;
    for (int64_t i = 0; i < count_; ++i) {
      const uint32_t distance = Distance(i);
      if (RankKey(distance, i) <= key) sum += SamplingWeight(distance);
    }
    return sum;
  }

  struct Place {
    uint64_t key = 0;
    uint64_t sum = 0;  // through this token
  };

  // The token in which the running sum reaches `target`: of weights, or of
  // ones. 1 <= target <= the sum of all.
  template <bool kWeighs>
  Place Reaches(uint64_t target) const {
    Place place;
    for (int shift = kRankTopShift; shift >= 0; shift -= kRankDigitBits) {
      uint64_t sums[kRankDigits] = {};
      for (int64_t i = 0; i < count_; ++i) {
        const uint32_t distance = Distance(i);
        const uint64_t key = RankKey(distance, i);
        if (!HasRankPrefix(key, shift, place.key)) continue;
        sums[RankDigit(key, shift)] += kWeighs ? SamplingWeight(distance) : 1;
      }
      int digit = 0;
      while (place.sum + sums[digit] < target) place.sum += sums[digit++];
      place.key = place.key << kRankDigitBits | static_cast<unsigned>(digit);
      if (shift == 0) place.sum += sums[digit];
    }
    return place;
  }

 private:
  uint32_t Distance(int64_t i) const {
    return SamplingDistance(max_, logits_[i], factor_);
  }

  const T* logits_;
  int64_t count_;
  double factor_;
  double max_;
};

// The running sum to reach for `sum` of `total`: at least the first token, at
// most the last.
uint64_t Target(double sum, uint64_t total) {
  if (!(sum < static_cast<double>(total))) return total;
  return std::max<uint64_t>(1, static_cast<uint64_t>(sum));
}

struct Choice {
  double temperature = 0.0;
  int32_t top_k = 0;
  double top_p = 1.0;
  double uniform = 0.0;
};

template <typename T>
int32_t Draw(const Ranking<T>& ranking, int64_t count, const Choice& choice) {
  uint64_t last = std::numeric_limits<uint64_t>::max();
  if (choice.top_k > 0 && choice.top_k < count) {
    last = ranking.template Reaches<false>(choice.top_k).key;
  }
  uint64_t total = ranking.WeightThrough(last);
  const auto weight = [&total] { return static_cast<double>(total); };
  if (choice.top_p < 1.0) {
    const uint64_t target = Target(std::ceil(choice.top_p * weight()), total);
    total = ranking.template Reaches<true>(target).sum;
  }
  const double uniform = choice.temperature == 0.0 ? 0.0 : choice.uniform;
  const uint64_t target = Target(std::floor(uniform * weight()) + 1.0, total);
  return static_cast<int32_t>(ranking.template Reaches<true>(target).key);
}

template <typename T>
double LogSumExp(const T* logits, int64_t count, double max) {
  double sum = 0.0;
  for (int64_t i = 0; i < count; ++i) sum += std::exp(logits[i] - max);
  return max + std::log(sum);
}

template <typename T>
void SampleRow(const T* logits, int64_t count, const Choice& choice,
               int32_t* id, double* log_probability) {
  const T* const bad = std::find_if_not(logits, logits + count,
                                        [](T x) { return std::isfinite(x); });
  if (bad != logits + count) {
    *id = static_cast<int32_t>(-1 - (bad - logits));
    *log_probability = std::numeric_limits<double>::quiet_NaN();
    return;
  }
  const Ranking<T> ranking(logits, count, choice.temperature);
  *id = Draw(ranking, count, choice);
  *log_probability = logits[*id] - LogSumExp(logits, count, ranking.max());
}

template <typename T>
void SampleRows(const SamplingInputs& inputs, const SamplingOutputs& outputs,
                ThreadPool& pool) {
  const ConstTensorView& logits = inputs.logits;
  pool.ParallelFor(logits.size(0), [&](int64_t row, int) {
    SampleRow(logits.data_as<T>() + row * logits.stride(0), logits.size(1),
              {.temperature = inputs.temperature.data_as<double>()[row],
               .top_k = inputs.top_k.data_as<int32_t>()[row],
               .top_p = inputs.top_p.data_as<double>()[row],
               .uniform = inputs.uniform.data_as<double>()[row]},
              outputs.ids.data_as<int32_t>() + row,
              outputs.log_probabilities.data_as<double>() + row);
  });
}

class CpuSampling : public Sampling {
 public:
  absl::Status Sample(const SamplingInputs& inputs,
                      const SamplingOutputs& outputs, Stream& stream) override {
    RETURN_IF_ERROR(CheckSampling(inputs, outputs));
    ThreadPool& pool = CpuStream::PoolOf(stream);
    if (inputs.logits.dtype() == DType::kF32) {
      SampleRows<float>(inputs, outputs, pool);
    } else {
      SampleRows<double>(inputs, outputs, pool);
    }
    return absl::OkStatus();
  }
};

}  // namespace

std::unique_ptr<Sampling> CreateCpuSampling() {
  return std::make_unique<CpuSampling>();
}

}  // namespace longspan::kernels
