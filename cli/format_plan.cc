#include "cli/format_plan.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/format_table.h"
#include "common/base/units.h"

namespace longspan::cli {
namespace {

std::string RangesText(const v1::RankPlan& rank) {
  std::vector<std::string> ranges;
  for (const v1::TokenRange& range : rank.token_ranges()) {
    ranges.push_back(absl::StrCat("[", range.begin(), ", ", range.end(), ")"));
  }
  return absl::StrJoin(ranges, " ");
}

std::string RankTable(const v1::Plan& plan) {
  std::vector<std::vector<std::string>> rows;
  for (const v1::RankPlan& rank : plan.ranks()) {
    const v1::MemoryPlan& memory = rank.memory();
    rows.push_back(
        {absl::StrCat(rank.rank()), RangesText(rank),
         FormatBytes(memory.parameters()), FormatBytes(memory.gradients()),
         FormatBytes(memory.optimizer()), FormatBytes(memory.activations()),
         FormatBytes(memory.workspace()),
         FormatBytes(memory.collective_buffers()), FormatBytes(memory.data()),
         FormatBytes(memory.total())});
  }
  return FormatTable({{"RANK", true},
                      {"TOKENS"},
                      {"PARAMETERS", true},
                      {"GRADIENTS", true},
                      {"OPTIMIZER", true},
                      {"ACTIVATIONS", true},
                      {"WORKSPACE", true},
                      {"COLLECTIVES", true},
                      {"DATA", true},
                      {"TOTAL", true}},
                     rows);
}

std::string PerRank(const google::protobuf::RepeatedField<int64_t>& bytes) {
  if (bytes.empty()) return "-";
  bool equal = std::all_of(bytes.begin(), bytes.end(),
                           [&](int64_t b) { return b == bytes[0]; });
  return equal ? absl::StrCat(bytes[0]) : absl::StrJoin(bytes, " ");
}

std::string TrafficTable(const v1::Plan& plan) {
  std::vector<std::vector<std::string>> rows;
  for (const v1::LayerTraffic& layer : plan.layers()) {
    rows.push_back({absl::StrCat(layer.layer()), layer.mixer(),
                    PerRank(layer.forward_bytes()),
                    PerRank(layer.backward_bytes()),
                    absl::StrCat(layer.halo_bytes())});
  }
  return FormatTable({{"LAYER", true},
                      {"MIXER"},
                      {"FORWARD", true},
                      {"BACKWARD", true},
                      {"HALO", true}},
                     rows);
}

}  // namespace

std::string FormatPlan(const v1::Plan& plan) {
  std::vector<std::string> axes;
  for (const v1::MeshAxis& axis : plan.mesh().axes()) {
    axes.push_back(absl::StrCat(axis.name(), "=", axis.size()));
  }
  std::string out = absl::StrCat(
      "mesh: ", absl::StrJoin(axes, " x "), "; ", plan.parameter_count(),
      " parameters; ", FormatCount(static_cast<double>(plan.flops_per_step())),
      " operations per step\n\n", "memory of each rank\n", RankTable(plan));
  if (!plan.layers().empty()) {
    absl::StrAppend(&out, "\nbytes that a rank sends per step\n",
                    TrafficTable(plan));
  }
  if (plan.gradient_sync_bytes_per_rank() > 0) {
    absl::StrAppend(&out,
                    "gradient sync: ", plan.gradient_sync_bytes_per_rank(),
                    " bytes per rank\n");
  }
  for (const std::string& reason : plan.reasons()) {
    absl::StrAppend(&out, "- ", reason, "\n");
  }
  return out;
}

}  // namespace longspan::cli
