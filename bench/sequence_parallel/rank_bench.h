// One rank's part of the bench of sequence-parallel methods: training steps of
// one model over emulated networks. All ranks make the same calls.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/model_spec/model_spec.h"
#include "common/model_spec/state_exchange_plan.h"
#include "kernels/api/backend.h"
#include "worker/collective/emulated_network_group.h"
#include "worker/model/model.h"
#include "worker/model/parameters.h"
#include "worker/parallel/sequence_shard.h"
#include "worker/tensor/arena.h"

namespace longspan::bench {

// A step by the clocks of the ranks.
struct StepSample {
  double seconds = 0;  // from the first rank's begin to the last one's end
  // The longest that a rank stood still, for states and for anything.
  double exposed_layers_seconds = 0;
  double exposed_seconds = 0;
};

class RankBench {
 public:
  // `group` and `clock` outlive the bench.
  static absl::StatusOr<std::unique_ptr<RankBench>> Create(
      const ModelSpec& spec, worker::ProcessGroup* group,
      worker::RankClock* clock);

  // `rounds` samples by network and method, the same on every rank. A round
  // goes through all methods over all networks in turn, so that a machine that
  // changes its speed does so for all; before them every method makes one step
  // that is not counted. Calls `after_step` behind each of them.
  absl::StatusOr<std::vector<std::vector<std::vector<StepSample>>>> Measure(
      int64_t tokens, const std::vector<worker::EmulatedNetwork>& networks,
      const std::vector<SequenceParallel>& methods, int rounds,
      const std::function<void()>& after_step);
  // The steps of such a call.
  static int64_t StepCount(size_t networks, size_t methods, int rounds) {
    return static_cast<int64_t>(methods * (networks * rounds + 1));
  }

 private:
  RankBench(const ModelSpec& spec, worker::ProcessGroup* group,
            worker::RankClock* clock)
      : spec_(spec), group_(group), clock_(clock) {}

  struct Built {
    std::unique_ptr<worker::Parameters> parameters;
    std::unique_ptr<worker::Model> model;
  };
  absl::StatusOr<Built> Build(SequenceParallel method) const;
  absl::StatusOr<worker::Arena> MakeArena(
      const worker::SequenceShard& shard,
      const std::vector<SequenceParallel>& methods);

  const ModelSpec spec_;
  worker::ProcessGroup* const group_;
  worker::RankClock* const clock_;
  std::unique_ptr<kernels::Backend> backend_;
  std::unique_ptr<kernels::Stream> stream_;
  Built whole_;
  Built cut_;  // for megatron_sp, whose ranks share the heads; empty until then
};

}  // namespace longspan::bench
