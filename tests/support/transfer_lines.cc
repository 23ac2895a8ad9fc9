#include "tests/support/transfer_lines.h"

namespace longspan::testing {
namespace {

using worker::Direction;
using worker::Traffic;

Traffic TrafficOf(TransferKind kind) {
  switch (kind) {
    case TransferKind::kStateExchange:
      return Traffic::kStateExchange;
    case TransferKind::kHeadExchange:
      return Traffic::kHeadExchange;
    case TransferKind::kRowExchange:
      return Traffic::kRowExchange;
    case TransferKind::kKeyValueExchange:
      return Traffic::kKvExchange;
    case TransferKind::kConvolutionHalo:
      return Traffic::kConvolutionHalo;
    case TransferKind::kGradientSync:
      return Traffic::kGradientSync;
  }
  return Traffic::kControl;
}

Direction DirectionOf(TransferDirection direction) {
  switch (direction) {
    case TransferDirection::kForward:
      return Direction::kForward;
    case TransferDirection::kBackward:
      return Direction::kBackward;
    case TransferDirection::kNone:
      return Direction::kNone;
  }
  return Direction::kNone;
}

}  // namespace

TransferLines Planned(const std::vector<PlannedTransfer>& transfers) {
  TransferLines lines;
  for (const PlannedTransfer& t : transfers) {
    lines.push_back({int64_t(TrafficOf(t.kind)),
                     int64_t(DirectionOf(t.direction)), t.layer, t.launches,
                     t.bytes_sent, t.bytes_received});
  }
  return lines;
}

TransferLines Counted(const worker::TransferCounters& counters) {
  TransferLines lines;
  for (const auto& [tag, counts] : counters) {
    lines.push_back({int64_t(tag.traffic), int64_t(tag.direction), tag.layer,
                     counts.launches, counts.bytes_sent,
                     counts.bytes_received});
  }
  return lines;
}

}  // namespace longspan::testing
