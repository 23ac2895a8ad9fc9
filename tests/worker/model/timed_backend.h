// A backend whose attention takes the time that a test says, on the clock of
// its rank, and remembers when each part of linear attention ended. The rest
// takes none.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernels/api/backend.h"
#include "tests/support/manual_rank_clock/manual_rank_clock.h"

namespace longspan::testing {

struct TimedParts {
  absl::Duration summarise;
  absl::Duration intra_chunk;
  absl::Duration inter_chunk;
  absl::Duration softmax;  // one call
};

struct TimedEvent {
  std::string part;
  absl::Duration end;
};

class TimedBackend final : public kernels::Backend {
 public:
  // Backward takes `parts` as forward does. `inner` and `clock` outlive it.
  TimedBackend(kernels::Backend* inner, const TimedParts& parts,
               ManualRankClock* clock);
  ~TimedBackend() override;

  const std::vector<TimedEvent>& events() const;

  std::string name() const override { return inner_->name(); }
  std::string instruction_set() const override {
    return inner_->instruction_set();
  }
  absl::StatusOr<std::unique_ptr<kernels::Stream>> CreateStream(
      int threads) override {
    return inner_->CreateStream(threads);
  }
  kernels::DeviceMemory& memory() override { return inner_->memory(); }
  kernels::LinearAttention& linear_attention() override;
  kernels::SoftmaxAttention& softmax_attention() override;
  kernels::Dense& dense() override { return inner_->dense(); }
  kernels::CrossEntropy& cross_entropy() override {
    return inner_->cross_entropy();
  }
  kernels::Elementwise& elementwise() override { return inner_->elementwise(); }
  kernels::ShortConvolution& short_convolution() override {
    return inner_->short_convolution();
  }
  kernels::FeatureMaps& feature_maps() override {
    return inner_->feature_maps();
  }
  kernels::TokenGates& token_gates() override { return inner_->token_gates(); }
  kernels::Optimizer& optimizer() override { return inner_->optimizer(); }
  kernels::Sampling& sampling() override { return inner_->sampling(); }

 private:
  class Attention;
  class Softmax;

  kernels::Backend* const inner_;
  const std::unique_ptr<Attention> attention_;
  const std::unique_ptr<Softmax> softmax_;
};

}  // namespace longspan::testing
