#include "common/simulate/network.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "common/base/status_macros.h"
#include "common/base/units.h"

namespace longspan {
namespace {

absl::Status LevelError(const std::string& text, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(
      "network level '", text, "': ", what,
      "; write name:ranks:latency:bandwidth, such as node:8:5us:300GB, with "
      "'all' for ranks on the last level"));
}

absl::StatusOr<double> ParseBandwidth(const std::string& text) {
  ASSIGN_OR_RETURN(const int64_t bytes, ParseBytes(text));
  return static_cast<double>(bytes);
}

absl::StatusOr<NetworkLevel> ParseFields(
    const std::vector<std::string>& fields) {
  NetworkLevel level;
  level.name = fields[0];
  if (fields[1] != "all" &&
      (!absl::SimpleAtoi(fields[1], &level.ranks) || level.ranks < 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", fields[1], "' is not a number of ranks"));
  }
  ASSIGN_OR_RETURN(const absl::Duration latency, ParseDuration(fields[2]));
  level.latency_s = absl::ToDoubleSeconds(latency);
  ASSIGN_OR_RETURN(level.bandwidth, ParseBandwidth(fields[3]));
  if (fields.size() < 5) return level;
  ASSIGN_OR_RETURN(level.flow_bandwidth, ParseBandwidth(fields[4]));
  return level;
}

absl::StatusOr<NetworkLevel> ParseLevel(const std::string& text) {
  const std::vector<std::string> fields = absl::StrSplit(text, ':');
  if (fields.size() < 4 || fields.size() > 5 || fields[0].empty()) {
    return LevelError(text, absl::StrCat(fields.size(), " fields, not 4 or 5"));
  }
  absl::StatusOr<NetworkLevel> level = ParseFields(fields);
  if (level.ok()) return level;
  return LevelError(text, std::string(level.status().message()));
}

absl::Status CheckNesting(const NetworkLevel& inner,
                          const NetworkLevel& outer) {
  if (inner.ranks == 0) {
    return LevelError(inner.name, "only the last level holds all ranks");
  }
  if (outer.ranks == 0) return absl::OkStatus();
  if (outer.ranks > inner.ranks && outer.ranks % inner.ranks == 0) {
    return absl::OkStatus();
  }
  return LevelError(
      outer.name, absl::StrCat(outer.ranks, " ranks are not several groups of ",
                               inner.ranks, " (", inner.name, ")"));
}

double Seconds(double bytes, double bandwidth) {
  return bandwidth > 0 ? bytes / bandwidth : 0;
}

// Ranks of a unit of the level.
int64_t UnitRanks(const Network& network, size_t level, int64_t ranks) {
  return level == 0 ? 1 : GroupRanks(network, level - 1, ranks);
}

// Latencies that follow each other when `units` talk to each other.
double Rounds(const Network& network, int64_t units) {
  const bool direct = network.algorithm == CollectiveAlgorithm::kDirect;
  return direct ? 1.0 : static_cast<double>(units - 1);
}

}  // namespace

absl::StatusOr<std::vector<NetworkLevel>> ParseNetworkLevels(
    std::string_view text) {
  std::vector<NetworkLevel> levels;
  const std::vector<std::string> parts = absl::StrSplit(std::string(text), ',');
  for (const std::string& part : parts) {
    ASSIGN_OR_RETURN(NetworkLevel level, ParseLevel(part));
    if (!levels.empty()) RETURN_IF_ERROR(CheckNesting(levels.back(), level));
    levels.push_back(std::move(level));
  }
  return levels;
}

absl::Status CheckRanks(const Network& network, int64_t ranks) {
  const NetworkLevel& last = network.levels.back();
  if (last.ranks == 0 || ranks <= last.ranks) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      ranks, " ranks: the network ends at ", last.ranks, " (level ", last.name,
      "); give its last level more ranks, or 'all'"));
}

int64_t GroupRanks(const Network& network, size_t level, int64_t ranks) {
  const int64_t group = network.levels[level].ranks;
  return group == 0 ? ranks : std::min(group, ranks);
}

int64_t GroupUnits(const Network& network, size_t level, int64_t ranks) {
  const int64_t unit = UnitRanks(network, level, ranks);
  return (GroupRanks(network, level, ranks) + unit - 1) / unit;
}

size_t LevelBetween(const Network& network, int64_t a, int64_t b) {
  size_t level = 0;
  for (; level + 1 < network.levels.size(); ++level) {
    const int64_t group = network.levels[level].ranks;
    if (a / group == b / group) break;
  }
  return level;
}

double FlowSeconds(const NetworkLevel& level, double bytes) {
  return Seconds(
      bytes, level.flow_bandwidth > 0 ? level.flow_bandwidth : level.bandwidth);
}

double MessageSeconds(const Network& network, int64_t from, int64_t to,
                      double bytes) {
  const NetworkLevel& level = network.levels[LevelBetween(network, from, to)];
  return level.latency_s + FlowSeconds(level, bytes);
}

double AllGatherSeconds(const Network& network, int64_t ranks, double bytes) {
  double seconds = 0;
  for (size_t level = 0; level < network.levels.size(); ++level) {
    const int64_t units = GroupUnits(network, level, ranks);
    if (units < 2) continue;
    // What a unit has: of its own ranks, and what came from other groups.
    const double unit = UnitRanks(network, level, ranks);
    const double groups =
        static_cast<double>(ranks) / GroupRanks(network, level, ranks);
    seconds += Rounds(network, units) * network.levels[level].latency_s +
               Seconds((units - 1) * unit * groups * bytes,
                       network.levels[level].bandwidth);
  }
  return seconds;
}

double AllToAllSeconds(const Network& network, int64_t ranks, double bytes) {
  double seconds = 0;
  for (size_t level = 0; level < network.levels.size(); ++level) {
    const int64_t units = GroupUnits(network, level, ranks);
    if (units < 2) continue;
    const double unit = UnitRanks(network, level, ranks);
    const double others = GroupRanks(network, level, ranks) - unit;
    const bool direct = network.algorithm == CollectiveAlgorithm::kDirect;
    seconds += (direct ? 1.0 : others) * network.levels[level].latency_s +
               Seconds(unit * others * bytes, network.levels[level].bandwidth);
  }
  return seconds;
}

}  // namespace longspan
