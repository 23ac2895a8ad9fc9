#include "common/simulate/scale_advice.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "common/base/units.h"
#include "common/model_spec/communication_plan.h"
#include "common/model_spec/precision.h"

namespace longspan {
namespace {

std::string Time(double seconds) {
  return FormatElapsed(absl::Seconds(seconds));
}

// Of one layer's exchange, forward.
class Adviser {
 public:
  Adviser(const SweepRequest& request, int64_t tokens, int ranks)
      : request_(request),
        tokens_(tokens),
        ranks_(ranks),
        state_(StateShapeOf(request.model.linear, request.shape.batch,
                            request.shape.state_gather)),
        wide_(AccumulatorBytes(request.shape.element_bytes)),
        row_(state_.gathered(true) * wide_) {}

  std::string Advise() const {
    const std::string where =
        absl::StrCat("at ", ranks_, " ranks and ", tokens_, " tokens: ");
    if (LinearLayers() == 0) {
      return absl::StrCat(where, "no layer has a state to gather", Fastest());
    }
    return absl::StrCat(where, Memory(), "; ", Latency(), "; ", Bandwidth(),
                        ". ", Verdict());
  }

 private:
  const Network& network() const { return request_.network; }

  // Ranks whose states fill the memory that the rest of a step leaves.
  std::string Memory() const {
    const int64_t buffer = ranks_ * row_;
    std::string text = absl::StrCat(
        "lasp2's gathered states take W (S + x) = ", ranks_, " x ",
        FormatBytes(row_), " = ", FormatBytes(buffer), " per rank");
    const int64_t memory = request_.device_memory_bytes;
    if (memory == 0) return text;
    const int64_t rest = OtherMemory();
    if (rest > memory) {
      return absl::StrCat(text, ", and the step without them already takes ",
                          FormatBytes(rest), " of ", FormatBytes(memory));
    }
    return absl::StrCat(text, ", of ", FormatBytes(memory - rest),
                        " that the step leaves free: full at ",
                        (memory - rest) / row_, " ranks");
  }

  int64_t OtherMemory() const {
    const SweepEntry lasp1 =
        CostAt(request_, tokens_, ranks_, ExchangeMethod::kLasp1);
    if (!lasp1.refusal.ok()) return 0;
    return lasp1.cost.memory_bytes - lasp1.cost.buffer_bytes;
  }

  // Dependent hops of a chain, by level.
  double HopLatency() const {
    double seconds = 0;
    for (int64_t rank = 1; rank < ranks_; ++rank) {
      seconds +=
          network().levels[LevelBetween(network(), rank - 1, rank)].latency_s;
    }
    return seconds;
  }

  double GatherLatency() const {
    return AllGatherSeconds(network(), ranks_, 0);
  }

  std::string Latency() const {
    return absl::StrCat("the latencies of a chain's ", ranks_ - 1,
                        " dependent hops add up to ", Time(HopLatency()),
                        " a pass, those of an AllGather to ",
                        Time(GatherLatency()), " a layer");
  }

  // The level that takes longest to gather so many bytes of a rank, without
  // its latency.
  std::pair<const NetworkLevel*, double> SlowestLevel(int64_t bytes) const {
    std::pair<const NetworkLevel*, double> slowest = {nullptr, -1};
    for (size_t i = 0; i < network().levels.size(); ++i) {
      Network only = network();
      for (size_t other = 0; other < only.levels.size(); ++other) {
        only.levels[other].latency_s = 0;
        if (other != i) only.levels[other].bandwidth = 0;
      }
      const double seconds =
          AllGatherSeconds(only, ranks_, static_cast<double>(bytes));
      if (seconds > slowest.second) slowest = {&network().levels[i], seconds};
    }
    return slowest;
  }

  std::string Bandwidth() const {
    const auto [level, seconds] = SlowestLevel(row_);
    return absl::StrCat("the slowest level, ", level->name, ", needs ",
                        Time(seconds), " for the bytes of one AllGather");
  }

  int64_t LinearLayers() const {
    return CountLayers(request_.model, LayerKind::kLinear);
  }

  // Of a step: every linear layer gathers forward, and backward states alone.
  double StepLatency() const {
    const int passes = request_.shape.train ? 2 : 1;
    return static_cast<double>(LinearLayers() * passes) * GatherLatency();
  }
  double StepBytesSeconds() const {
    double layer = SlowestLevel(row_).second;
    if (request_.shape.train) {
      layer += SlowestLevel(state_.gathered(false) * wide_).second;
    }
    return static_cast<double>(LinearLayers()) * layer;
  }

  // What takes longest of a step, memory first.
  std::string Verdict() const {
    const int64_t memory = request_.device_memory_bytes;
    if (memory > 0 && OtherMemory() + ranks_ * row_ > memory) {
      return "Memory breaks first";
    }
    const double gather = StepLatency();
    const double bytes = StepBytesSeconds();
    const std::string share =
        absl::StrFormat("lasp2 spends %s of a step on latency and %s on bytes",
                        Time(gather), Time(bytes));
    return absl::StrCat(gather > bytes ? "Latency" : "Bandwidth",
                        " breaks first: ", share, Fastest());
  }

  std::string Fastest() const {
    const SweepEntry* best = nullptr;
    SweepRequest request = request_;
    request.tokens = {tokens_};
    request.ranks = {ranks_};
    const std::vector<SweepPoint> points = RunSweep(request);
    best = points[0].Fastest();
    if (best == nullptr) return "; no method fits the memory";
    return absl::StrCat("; the fastest is ",
                        std::string(ExchangeMethodName(best->method)), " with ",
                        Time(best->cost.total_s), " a step, ",
                        Time(best->cost.exposed_s), " of it waiting");
  }

  const SweepRequest& request_;
  const int64_t tokens_;
  const int ranks_;
  const StateExchangeShape state_;
  const int64_t wide_;  // bytes of a sum
  const int64_t row_;   // bytes of a summary
};

}  // namespace

std::string ScaleAdvice(const SweepRequest& request, int64_t tokens,
                        int ranks) {
  return Adviser(request, tokens, ranks).Advise();
}

}  // namespace longspan
