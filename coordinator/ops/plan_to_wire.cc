#include "coordinator/ops/plan_to_wire.h"

#include <algorithm>

namespace longspan::coordinator {
namespace {

int64_t TapeBytes(const MemoryPlan& plan) {
  int64_t bytes = TotalBytes(plan.step);
  for (const LayerMemory& layer : plan.layers) bytes += TotalBytes(layer.tape);
  return std::min(bytes, plan.arena_bytes);
}

void WriteMemory(const MemoryPlan& from, v1::MemoryPlan* to) {
  const int64_t tape = TapeBytes(from);
  to->set_parameters(from.parameter_bytes);
  to->set_gradients(from.gradient_bytes);
  to->set_optimizer(from.moment_bytes);
  to->set_activations(tape + from.state_bytes);
  to->set_workspace(from.arena_bytes - tape);
  to->set_collective_buffers(from.transport_bytes);
  to->set_data(from.input_bytes);
  to->set_total(from.total_bytes());
}

void WriteRank(const JobPlan& plan, int rank, v1::RankPlan* to) {
  to->set_rank(rank);
  to->add_coordinates(rank);
  v1::TokenRange& range = *to->add_token_ranges();
  range.set_begin(plan.ranges[rank].begin);
  range.set_end(plan.ranges[rank].end);
  if (!plan.memory.empty())
    WriteMemory(plan.memory[rank], to->mutable_memory());
}

void WriteLayer(const LayerTraffic& from, v1::LayerTraffic* to) {
  to->set_layer(from.layer);
  to->set_mixer(from.mixer);
  for (int64_t bytes : from.forward_bytes) to->add_forward_bytes(bytes);
  for (int64_t bytes : from.backward_bytes) to->add_backward_bytes(bytes);
  to->set_halo_bytes(from.halo_bytes);
}

}  // namespace

v1::Plan PlanToWire(const JobPlan& plan) {
  v1::Plan wire;
  const int ranks = static_cast<int>(plan.ranges.size());
  v1::MeshAxis& axis = *wire.mutable_mesh()->add_axes();
  axis.set_name("sequence");
  axis.set_size(ranks);
  for (int rank = 0; rank < ranks; ++rank) {
    WriteRank(plan, rank, wire.add_ranks());
  }
  for (const LayerTraffic& layer : plan.layers) {
    WriteLayer(layer, wire.add_layers());
  }
  wire.set_parameter_count(plan.parameter_count);
  wire.set_flops_per_step(plan.flops_per_step);
  wire.set_gradient_sync_bytes_per_rank(plan.gradient_sync_bytes_per_rank);
  for (const std::string& reason : plan.reasons) wire.add_reasons(reason);
  return wire;
}

}  // namespace longspan::coordinator
