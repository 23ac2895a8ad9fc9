#include "cli/format_simulation.h"

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "cli/format_table.h"
#include "common/base/units.h"

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
  if (region.winner == nullptr) {
    return absl::StrCat(region.ranks, " ranks, ", span, ": none runs");
  }
  const MethodCost& cost = region.winner->cost;
  return absl::StrCat(region.ranks, " ranks, ", span, ": ",
                      Name(region.winner->method), " (",
                      SecondsText(cost.total_s), " a step at the longest, ",
                      SecondsText(cost.exposed_s), " of it waiting)");
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
  std::string refusals;
  bool all_fit = true;
  for (const SweepEntry& entry : point.entries) {
    if (entry.refusal.ok()) {
      rows.push_back(CostRow(entry));
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
      refusals);
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

}  // namespace longspan::cli
