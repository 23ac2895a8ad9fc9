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
        state_(StateShapeOf(request.model.linear, request.shape.batch)),
        row_((state_.state + state_.travelling()) *
             AccumulatorBytes(request.shape.element_bytes)) {}

  std::string Advise() const {
    return absl::StrCat("at ", ranks_, " ranks and ", tokens_,
                        " tokens: ", Memory(), "; ", Latency(), "; ",
                        Bandwidth(), ". ", Verdict());
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
    const absl::StatusOr<MethodCost> cost = CostOf(ExchangeMethod::kLasp1);
    return cost.ok() ? cost->memory_bytes - cost->buffer_bytes : 0;
  }

  absl::StatusOr<MethodCost> CostOf(ExchangeMethod method) const {
    SimulationShape shape = request_.shape;
    shape.tokens = tokens_;
    shape.ranks = ranks_;
    return Simulate(request_.model, shape, network(), request_.compute, method);
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

  // The level that takes longest of an AllGather, without its latency.
  std::pair<const NetworkLevel*, double> SlowestLevel() const {
    std::pair<const NetworkLevel*, double> slowest = {nullptr, -1};
    for (size_t i = 0; i < network().levels.size(); ++i) {
      Network only = network();
      for (size_t other = 0; other < only.levels.size(); ++other) {
        only.levels[other].latency_s = 0;
        if (other != i) only.levels[other].bandwidth = 0;
      }
      const double seconds =
          AllGatherSeconds(only, ranks_, static_cast<double>(row_));
      if (seconds > slowest.second) slowest = {&network().levels[i], seconds};
    }
    return slowest;
  }

  std::string Bandwidth() const {
    const auto [level, seconds] = SlowestLevel();
    return absl::StrCat("the slowest level, ", level->name, ", needs ",
                        Time(seconds), " for the bytes of one AllGather");
  }

  double Layers() const { return 2.0 * request_.model.layer_count; }

  // What takes longest of a step, memory first.
  std::string Verdict() const {
    const int64_t memory = request_.device_memory_bytes;
    if (memory > 0 && OtherMemory() + ranks_ * row_ > memory) {
      return "Memory breaks first";
    }
    const double gather = Layers() * GatherLatency();
    const double bytes = Layers() * SlowestLevel().second;
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
  const int64_t row_;  // bytes of a summary
};

}  // namespace

std::string ScaleAdvice(const SweepRequest& request, int64_t tokens,
                        int ranks) {
  return Adviser(request, tokens, ranks).Advise();
}

}  // namespace longspan
