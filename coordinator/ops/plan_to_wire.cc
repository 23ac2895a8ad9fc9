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
  const int group = plan.group();
  if (plan.replicas > 1) to->add_coordinates(rank / group);
  to->add_coordinates(rank % group);
  for (const TokenRange& from : plan.RangesOf(rank)) {
    v1::TokenRange& range = *to->add_token_ranges();
    range.set_begin(from.begin);
    range.set_end(from.end);
  }
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

void AddAxis(const char* name, int size, v1::Mesh* mesh) {
  v1::MeshAxis& axis = *mesh->add_axes();
  axis.set_name(name);
  axis.set_size(size);
}

}  // namespace

v1::Plan PlanToWire(const JobPlan& plan) {
  v1::Plan wire;
  if (plan.replicas > 1) AddAxis("data", plan.replicas, wire.mutable_mesh());
  AddAxis("sequence", plan.group(), wire.mutable_mesh());
  for (int rank = 0; rank < plan.ranks(); ++rank) {
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
