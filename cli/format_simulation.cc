#include "cli/format_simulation.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "cli/format_table.h"
#include "common/base/units.h"
#include "common/simulate/published.h"

namespace longspan::cli {
namespace {

std::string SecondsText(double seconds) {
  return FormatElapsed(absl::Seconds(seconds));
}

std::string Name(ExchangeMethod method) {
  return std::string(ExchangeMethodName(method));
}

std::vector<std::string> CostRow(const SweepEntry& entry) {
  const MethodCost& cost = entry.cost;
  return {Name(entry.method),
          absl::StrCat(cost.forward_bytes),
          absl::StrCat(cost.backward_bytes),
          absl::StrCat(cost.forward_calls, "+", cost.backward_calls),
          FormatBytes(cost.buffer_bytes),
          absl::StrCat(FormatBytes(cost.memory_bytes), entry.fits ? "" : " !"),
          SecondsText(cost.compute_s),
          SecondsText(cost.exposed_s),
          SecondsText(cost.total_s),
          FormatCount(cost.tokens_per_s)};
}

// Where it is not contiguous.
std::string LayoutNote(const SweepEntry& entry) {
  if (entry.cost.layout == TokenLayout::kContiguous) return "";
  return absl::StrCat("- ", Name(entry.method), " with layout ",
                      std::string(TokenLayoutName(entry.cost.layout)), "\n");
}

// The winner's name; in brackets: it is fastest, but nothing fits.
std::string WinnerText(const SweepPoint& point) {
  const SweepEntry* fastest = point.Fastest();
  if (fastest != nullptr) return Name(fastest->method);
  for (const SweepEntry& entry : point.entries) {
    if (entry.refusal.ok()) return "no memory";
  }
  return "-";
}

std::string RegionText(const WinnerRegion& region) {
  const std::string span =
      region.first_tokens == region.last_tokens
          ? CountText(region.first_tokens)
          : absl::StrCat(CountText(region.first_tokens), " to ",
                         CountText(region.last_tokens));
  const std::string ranks =
      absl::StrCat(region.ranks, region.ranks == 1 ? " rank, " : " ranks, ");
  if (region.winner == nullptr) {
    return absl::StrCat(ranks, span, ": none runs");
  }
  const MethodCost& cost = region.winner->cost;
  return absl::StrCat(ranks, span, ": ", Name(region.winner->method), " (",
                      SecondsText(cost.total_s), " a step at the longest, ",
                      SecondsText(cost.exposed_s), " of it waiting)");
}

std::string CrossoverText(const SweepRequest& request, int ranks,
                          ExchangeMethod other, CostKind kind) {
  if (!CheckMethod(other, request.model, ranks).ok()) return "-";
  const int64_t tokens =
      Crossover(request, ranks, ExchangeMethod::kLasp2, other, kind);
  if (tokens == 0) return "never";
  return tokens <= std::max<int64_t>(request.tokens.front(), ranks)
             ? "always"
             : absl::StrCat(tokens);
}

std::string CrossoverTable(const SweepRequest& request,
                           const std::vector<ExchangeMethod>& others,
                           CostKind kind) {
  std::vector<TableColumn> columns = {{"RANKS", true}};
  for (ExchangeMethod other : others) columns.push_back({Name(other), true});
  std::vector<std::vector<std::string>> rows;
  for (int ranks : request.ranks) {
    if (ranks == 1) continue;
    rows.push_back({absl::StrCat(ranks)});
    for (ExchangeMethod other : others) {
      rows.back().push_back(CrossoverText(request, ranks, other, kind));
    }
  }
  return FormatTable(columns, rows);
}

std::string Percent(double ratio) {
  return absl::StrFormat("%+.1f %%", 100 * ratio);
}

std::vector<std::string> CalibrationRow(const PredictedPoint& point) {
  const MeasuredPoint& measured = point.measured;
  return {Name(measured.method),
          absl::StrCat(measured.ranks),
          absl::StrCat(measured.tokens),
          SecondsText(measured.latency_s),
          measured.bandwidth == 0 ? "unlimited"
                                  : FormatCount(measured.bandwidth) + "B/s",
          SecondsText(measured.seconds),
          SecondsText(point.seconds),
          absl::StrCat(Percent(point.error()), point.calibrates ? " *" : "")};
}

}  // namespace

std::string CountText(int64_t count) {
  if (count >= 1 << 20 && count % (1 << 20) == 0) {
    return absl::StrCat(count >> 20, "Mi");
  }
  if (count >= 1 << 10 && count % (1 << 10) == 0) {
    return absl::StrCat(count >> 10, "Ki");
  }
  return absl::StrCat(count);
}

std::string FormatPoint(const SweepPoint& point) {
  std::vector<std::vector<std::string>> rows;
  std::string refusals, layouts;
  bool all_fit = true;
  for (const SweepEntry& entry : point.entries) {
    if (entry.refusal.ok()) {
      rows.push_back(CostRow(entry));
      absl::StrAppend(&layouts, LayoutNote(entry));
      all_fit = all_fit && entry.fits;
    } else {
      absl::StrAppend(&refusals, "- ", Name(entry.method), ": ",
                      std::string(entry.refusal.message()), "\n");
    }
  }
  const std::string title =
      absl::StrCat(CountText(point.tokens), " tokens over ", point.ranks,
                   " ranks; bytes "
                   "that the busiest rank sends in a step\n");
  const std::string table = FormatTable({{"METHOD"},
                                         {"FORWARD", true},
                                         {"BACKWARD", true},
                                         {"CALLS", true},
                                         {"BUFFER", true},
                                         {"MEMORY", true},
                                         {"COMPUTE", true},
                                         {"EXPOSED", true},
                                         {"STEP", true},
                                         {"TOKENS/S", true}},
                                        rows);
  return absl::StrCat(
      title, table,
      all_fit ? "" : "! more than the device's memory (--device-memory)\n",
      layouts, refusals);
}

std::string FormatWinners(const SweepRequest& request,
                          const std::vector<SweepPoint>& points) {
  std::vector<TableColumn> columns = {{"TOKENS", true}};
  std::vector<std::vector<std::string>> rows;
  for (int64_t tokens : request.tokens) rows.push_back({CountText(tokens)});
  for (int ranks : request.ranks) {
    columns.push_back({absl::StrCat(ranks, ranks == 1 ? " rank" : " ranks")});
  }
  for (size_t i = 0; i < points.size(); ++i) {
    rows[i % request.tokens.size()].push_back(WinnerText(points[i]));
  }
  std::string out =
      absl::StrCat("the fastest that fits\n", FormatTable(columns, rows),
                   "\nwho wins where\n");
  for (const WinnerRegion& region : WinnerRegions(points)) {
    absl::StrAppend(&out, "- ", RegionText(region), "\n");
  }
  return out;
}

std::string FormatCrossovers(const SweepRequest& request) {
  std::vector<ExchangeMethod> others;
  bool lasp2 = false;
  for (ExchangeMethod method : request.methods) {
    if (method == ExchangeMethod::kLasp2) {
      lasp2 = true;
    } else {
      others.push_back(method);
    }
  }
  if (!lasp2 || others.empty()) return "";
  return absl::StrCat(
      "lasp2 is at least as fast as these from so many tokens "
      "on\n",
      CrossoverTable(request, others, CostKind::kSeconds),
      "\nand sends no more bytes from\n",
      CrossoverTable(request, others, CostKind::kBytes));
}

std::string FormatPublished(const SweepRequest& request, int64_t tokens,
                            int ranks) {
  SimulationShape shape = request.shape;
  shape.tokens = tokens;
  shape.ranks = ranks;
  std::vector<std::vector<std::string>> rows;
  std::string refusals;
  for (ExchangeMethod method : request.methods) {
    const absl::StatusOr<PublishedCost> cost = PublishedCostOf(
        request.model, shape, request.network, request.compute, method);
    if (!cost.ok()) {
      absl::StrAppend(&refusals, "- ", Name(method), ": ",
                      std::string(cost.status().message()), "\n");
      continue;
    }
    rows.push_back(
        {Name(method), absl::StrCat(cost->steps), absl::StrCat(cost->bytes),
         SecondsText(cost->seconds),
         cost->recalled ? "LASP-1 paper, as recalled" : "LASP-2 paper"});
  }
  return absl::StrCat(CountText(tokens), " tokens over ", ranks,
                      " ranks, as the papers count a step\n",
                      FormatTable({{"METHOD"},
                                   {"STEPS", true},
                                   {"BYTES", true},
                                   {"STEP TIME", true},
                                   {"SOURCE"}},
                                  rows),
                      refusals);
}

std::string FormatContradictions() {
  std::string out = "where the LASP-2 paper contradicts itself\n";
  for (const std::string& sentence : PublishedContradictions()) {
    absl::StrAppend(&out, "- ", sentence, "\n");
  }
  return out;
}

std::string FormatCalibration(const Calibration& calibration) {
  std::vector<std::vector<std::string>> rows;
  for (const PredictedPoint& point : calibration.points) {
    rows.push_back(CalibrationRow(point));
  }
  std::string out =
      absl::StrCat("compute ", FormatCount(calibration.compute.flops_per_s),
                   " operations/s and rank, fixed ",
                   SecondsText(calibration.compute.fixed_s), " a step\n",
                   FormatTable({{"METHOD"},
                                {"RANKS", true},
                                {"TOKENS", true},
                                {"LATENCY", true},
                                {"BANDWIDTH", true},
                                {"MEASURED", true},
                                {"PREDICTED", true},
                                {"ERROR", true}},
                               rows));
  out += "* calibrates\n";
  const PredictedPoint* worst = calibration.Worst();
  if (worst == nullptr) return out;
  return absl::StrCat(out, "worst: ", Name(worst->measured.method), " at ",
                      worst->measured.tokens, " tokens over ",
                      worst->measured.ranks, " ranks, ",
                      Percent(worst->error()), "\n");
}

}  // namespace longspan::cli
