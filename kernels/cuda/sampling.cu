// Drawing tokens: a block per text searches the ranking of its logits digit by
// digit, so that nothing is sorted and a row is read from the L2 cache a few
// times.
#include <memory>

#include "common/base/status_macros.h"
#include "kernels/api/sampling_operands.h"
#include "kernels/cost/rank_digits.h"
#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda/op_launch.h"
#include "kernels/cuda/team_sum.h"

namespace longspan::kernels::cuda {
namespace {

constexpr int kSampleThreads = 512;
constexpr float kLog2E = 1.44269504f;
constexpr float kDistanceUnit = 1.0f / (1 << 26);
constexpr float kLargestWeight = 8796093022208.0f;  // 2^43
constexpr uint64_t kEveryKey = ~uint64_t{0};

struct SampleParams {
  const float* logits;
  int64_t row_stride;
  int64_t vocabulary;
  const double* temperature;
  const int32_t* top_k;
  const double* top_p;
  const double* uniform;
  int32_t* ids;
  double* log_probabilities;
};

// What a pass found: the digit in which the target is reached, the sum before
// it and of it, and how many tokens have it.
struct FoundDigit {
  uint64_t before;
  uint64_t sum;
  uint32_t digit;
  uint32_t tokens;
};

struct SampleShared {
  uint64_t sums[kRankDigits];
  uint32_t tokens[kRankDigits];
  FoundDigit found;
  uint64_t key;
  double team[kTeamSumFloats];
};

struct Row {
  const float* logits;
  int64_t count;
  float max;
  double factor;  // 2^26 / temperature
};

// In double, so that the ranking is the other backends'.
LONGSPAN_DEVICE uint32_t Distance(const Row& row, float logit) {
  if (logit == row.max) return 0;
  const double behind =
      static_cast<double>(row.max) - static_cast<double>(logit);
  const double distance = behind * row.factor;
  return distance < kFarthestDistance ? static_cast<uint32_t>(distance)
                                      : kFarthestDistance;
}

LONGSPAN_DEVICE uint64_t Weight(uint32_t distance) {
  if (distance == kFarthestDistance) return 0;
  const float exponent = -kDistanceUnit * static_cast<float>(distance);
  return static_cast<uint64_t>(kLargestWeight * Exp2(kLog2E * exponent));
}

// The largest over the block, for all threads. Two barriers.
template <typename T>
LONGSPAN_DEVICE T BlockMax(T value, T* shared) {
  LONGSPAN_UNROLL
  for (int mask = 1; mask < kWarpThreads; mask *= 2) {
    const T other = ShuffleXor(value, mask);
    value = other > value ? other : value;
  }
  if (LaneIndex() == 0) shared[WarpIndex()] = value;
  SyncBlock();
  value = shared[0];
  for (int warp = 1; warp < kSampleThreads / kWarpThreads; ++warp) {
    value = shared[warp] > value ? shared[warp] : value;
  }
  SyncBlock();
  return value;
}

// -1 - (index of the first logit that is not finite), INT64_MIN if all are.
LONGSPAN_DEVICE int64_t FirstBad(const Row& row, SampleShared* shared) {
  int64_t bad = INT64_MIN;
  for (int64_t i = ThreadIndex(); i < row.count; i += kSampleThreads) {
    const float logit = row.logits[i];
    if (logit - logit == 0.0f) continue;
    bad = -1 - i;
    break;
  }
  return BlockMax(bad, reinterpret_cast<int64_t*>(shared->team));
}

LONGSPAN_DEVICE float LargestLogit(const Row& row, SampleShared* shared) {
  float max = row.logits[0];
  for (int64_t i = ThreadIndex(); i < row.count; i += kSampleThreads) {
    max = row.logits[i] > max ? row.logits[i] : max;
  }
  return BlockMax(max, reinterpret_cast<float*>(shared->team));
}

// log(sum(exp(logit - max))).
LONGSPAN_DEVICE double LogOfSum(const Row& row, SampleShared* shared) {
  double sum = 0.0;
  for (int64_t i = ThreadIndex(); i < row.count; i += kSampleThreads) {
    sum += static_cast<double>(Exp2(kLog2E * (row.logits[i] - row.max)));
  }
  return log(TeamSum(sum, kSampleThreads, shared->team, 0));
}

// Sums of the tokens with `prefix` by their next digit; weights, or ones.
LONGSPAN_DEVICE void SumDigits(const Row& row, bool weighs, int shift,
                               uint64_t prefix, SampleShared* shared) {
  for (int digit = ThreadIndex(); digit < kRankDigits;
       digit += kSampleThreads) {
    shared->sums[digit] = 0;
    shared->tokens[digit] = 0;
  }
  SyncBlock();
  for (int64_t i = ThreadIndex(); i < row.count; i += kSampleThreads) {
    const uint32_t distance = Distance(row, row.logits[i]);
    const uint64_t key = RankKey(distance, i);
    if (!HasRankPrefix(key, shift, prefix)) continue;
    const int digit = RankDigit(key, shift);
    AddShared(&shared->sums[digit], weighs ? Weight(distance) : uint64_t{1});
    AddShared(&shared->tokens[digit], uint32_t{1});
  }
  SyncBlock();
}

// The digit in which `before` and the sums in order reach `target`: the first
// warp looks, a run of digits per lane.
LONGSPAN_DEVICE FoundDigit FindDigit(uint64_t before, uint64_t target,
                                     SampleShared* shared) {
  constexpr int kRun = kRankDigits / kWarpThreads;
  if (WarpIndex() == 0) {
    uint64_t own = 0;
    for (int i = 0; i < kRun; ++i) own += shared->sums[LaneIndex() * kRun + i];
    uint64_t through = own;
    for (int delta = 1; delta < kWarpThreads; delta *= 2) {
      const uint64_t below = ShuffleUp(through, delta);
      if (LaneIndex() >= delta) through += below;
    }
    uint64_t sum = before + through - own;
    if (sum < target && target <= sum + own) {
      int digit = LaneIndex() * kRun;
      while (sum + shared->sums[digit] < target) sum += shared->sums[digit++];
      shared->found = {sum, shared->sums[digit], static_cast<uint32_t>(digit),
                       shared->tokens[digit]};
    }
  }
  SyncBlock();
  return shared->found;
}

// The only token whose digits down to `shift` are `prefix`.
LONGSPAN_DEVICE uint64_t OnlyKey(const Row& row, int shift, uint64_t prefix,
                                 SampleShared* shared) {
  for (int64_t i = ThreadIndex(); i < row.count; i += kSampleThreads) {
    const uint64_t key = RankKey(Distance(row, row.logits[i]), i);
    if (key >> shift == prefix) shared->key = key;
  }
  SyncBlock();
  return shared->key;
}

struct Place {
  uint64_t key;
  uint64_t sum;  // through this token
};

// The token in which the running sum reaches `target`: 1 to the sum of all.
LONGSPAN_DEVICE Place Reaches(const Row& row, bool weighs, uint64_t target,
                              SampleShared* shared) {
  uint64_t prefix = 0;
  uint64_t before = 0;
  for (int shift = kRankTopShift;; shift -= kRankDigitBits) {
    SumDigits(row, weighs, shift, prefix, shared);
    const FoundDigit found = FindDigit(before, target, shared);
    before = found.before;
    prefix = prefix << kRankDigitBits | found.digit;
    if (found.tokens > 1 && shift > 0) continue;
    const uint64_t key = OnlyKey(row, shift, prefix, shared);
    SyncBlock();  // everybody has read what the next search overwrites
    return {key, before + found.sum};
  }
}

LONGSPAN_DEVICE uint64_t WeightThrough(const Row& row, uint64_t last,
                                       SampleShared* shared) {
  if (ThreadIndex() == 0) shared->key = 0;
  SyncBlock();
  uint64_t sum = 0;
  for (int64_t i = ThreadIndex(); i < row.count; i += kSampleThreads) {
    const uint32_t distance = Distance(row, row.logits[i]);
    if (RankKey(distance, i) <= last) sum += Weight(distance);
  }
  AddShared(&shared->key, sum);
  SyncBlock();
  return shared->key;  // a search writes it again, barriers later
}

// The running sum to reach for `sum` of `total`: at least the first token, at
// most the last.
LONGSPAN_DEVICE uint64_t Target(double sum, uint64_t total) {
  if (!(sum < static_cast<double>(total))) return total;
  return sum < 1.0 ? 1 : static_cast<uint64_t>(sum);
}

LONGSPAN_DEVICE int32_t Draw(const SampleParams& p, const Row& row,
                             SampleShared* shared) {
  const int64_t at = BlockIndex();
  uint64_t last = kEveryKey;
  if (p.top_k[at] > 0 && p.top_k[at] < row.count) {
    last = Reaches(row, false, p.top_k[at], shared).key;
  }
  uint64_t total = WeightThrough(row, last, shared);
  if (p.top_p[at] < 1.0) {
    const double share = ceil(p.top_p[at] * static_cast<double>(total));
    total = Reaches(row, true, Target(share, total), shared).sum;
  }
  const double uniform = p.temperature[at] == 0.0 ? 0.0 : p.uniform[at];
  const double drawn = floor(uniform * static_cast<double>(total)) + 1.0;
  return static_cast<int32_t>(
      Reaches(row, true, Target(drawn, total), shared).key);
}

LONGSPAN_KERNEL(kSampleThreads, 1) SampleKernel(const SampleParams p) {
  auto* shared = reinterpret_cast<SampleShared*>(SharedMemory());
  const int64_t at = BlockIndex();
  Row row = {p.logits + at * p.row_stride, p.vocabulary, 0.0f,
             1.0 / (p.temperature[at] * static_cast<double>(kDistanceUnit))};
  const int64_t bad = FirstBad(row, shared);
  if (bad < 0 && bad != INT64_MIN) {
    if (ThreadIndex() != 0) return;
    p.ids[at] = static_cast<int32_t>(bad);
    p.log_probabilities[at] = NAN;
    return;
  }
  row.max = LargestLogit(row, shared);
  const int32_t id = Draw(p, row, shared);
  const double log_sum = LogOfSum(row, shared);
  if (ThreadIndex() != 0) return;
  p.ids[at] = id;
  p.log_probabilities[at] =
      static_cast<double>(row.logits[id] - row.max) - log_sum;
}

class CudaSampling : public Sampling {
 public:
  absl::Status Sample(const SamplingInputs& inputs,
                      const SamplingOutputs& outputs, Stream& stream) override {
    RETURN_IF_ERROR(CheckSampling(inputs, outputs, kCudaOperands));
    const ConstTensorView& logits = inputs.logits;
    if (logits.size(0) == 0) return absl::OkStatus();
    const SampleParams params = {logits.data_as<float>(),
                                 logits.stride(0),
                                 logits.size(1),
                                 inputs.temperature.data_as<double>(),
                                 inputs.top_k.data_as<int32_t>(),
                                 inputs.top_p.data_as<double>(),
                                 inputs.uniform.data_as<double>(),
                                 outputs.ids.data_as<int32_t>(),
                                 outputs.log_probabilities.data_as<double>()};
    return Launch("Sample", SampleKernel,
                  {logits.size(0), kSampleThreads, sizeof(SampleShared)},
                  stream, params);
  }
};

}  // namespace

std::unique_ptr<Sampling> CreateCudaSampling() {
  return std::make_unique<CudaSampling>();
}

}  // namespace longspan::kernels::cuda
