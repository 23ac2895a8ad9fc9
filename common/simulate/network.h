// A network of levels: ranks on a node, nodes in a datacentre, datacentres on
// the internet. What a transfer takes, from latency and bandwidth alone.
//
// A group of a level holds `ranks` consecutive ranks; its units are the groups
// of the level below (single ranks on the first level). `bandwidth` is what
// leaves one unit, and enters it, at a time: a rank's link on the first level,
// all NICs of a node together on the second. A message takes
//
//     latency + bytes / bandwidth
//
// and messages that leave one unit together follow each other.
//
// Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace longspan {

struct NetworkLevel {
  std::string name;           // "node"
  int64_t ranks = 0;          // of one group; 0: however many there are
  double latency_s = 0;       // of one message
  double bandwidth = 0;       // bytes per second of a unit; 0: unlimited
  double flow_bandwidth = 0;  // of one message between two ranks; 0: bandwidth
};

// How a collective goes about its messages.
enum class CollectiveAlgorithm {
  kDirect,  // all at once, one latency: what this project's CPU groups do
  kRing     // from neighbour to neighbour, W - 1 latencies: NCCL's ring
};

struct Network {
  std::vector<NetworkLevel> levels;  // the innermost first
  CollectiveAlgorithm algorithm = CollectiveAlgorithm::kDirect;
};

// "node:8:5us:300GB,datacentre:512:20us:200GB:25GB,internet:all:30ms:1GB":
// name, ranks, latency, bandwidth per second (0: unlimited) and, where it is
// less, that of one message. kInvalidArgument, with the level, for anything
// else, and for levels that do not hold whole groups of the level below.
absl::StatusOr<std::vector<NetworkLevel>> ParseNetworkLevels(
    std::string_view text);

// kInvalidArgument when the network ends before `ranks`.
absl::Status CheckRanks(const Network& network, int64_t ranks);

// Ranks of a group of level `level` when `ranks` are used in all, and how many
// units such a group has.
int64_t GroupRanks(const Network& network, size_t level, int64_t ranks);
int64_t GroupUnits(const Network& network, size_t level, int64_t ranks);

// The innermost level that has both ranks in one group.
size_t LevelBetween(const Network& network, int64_t a, int64_t b);

// bytes / the bandwidth of one message of that level.
double FlowSeconds(const NetworkLevel& level, double bytes);

// One message between the ranks.
double MessageSeconds(const Network& network, int64_t from, int64_t to,
                      double bytes);

// Every rank's `bytes` to every rank. From the outermost level inwards: units
// exchange what all their ranks have, then pass on what came, so a node sends
// its states once over its NICs. A ReduceScatter of parts of so many bytes
// takes the same, the other way round.
double AllGatherSeconds(const Network& network, int64_t ranks, double bytes);

// Different `bytes` from every rank to every other.
double AllToAllSeconds(const Network& network, int64_t ranks, double bytes);

}  // namespace longspan
