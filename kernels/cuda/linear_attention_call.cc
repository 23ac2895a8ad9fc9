#include "kernels/cuda/linear_attention_call.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "kernels/api/operand_check.h"
#include "kernels/cuda/cuda_status.h"
#include "kernels/cuda/linear_attention_kernels.h"

namespace longspan::kernels::cuda {
namespace {

constexpr double kLog2E = 1.4426950408889634;

TokenRows RowsOf(const ConstTensorView& view) {
  return {view.data(), view.stride(0), view.stride(1), view.stride(2)};
}

StateSlots Transposed(StateSlots slots) {
  std::swap(slots.stride_y, slots.stride_z);
  return slots;
}

// Whether 16-byte copies of rows are possible.
bool IsAligned(const ConstTensorView& view) {
  constexpr int64_t kElements = 8;
  if (view.dtype() != DType::kBF16) return false;
  if (reinterpret_cast<uintptr_t>(view.data()) % 16 != 0) return false;
  for (int dim = 0; dim < 3; ++dim) {
    if (view.size(dim) > 1 && view.stride(dim) % kElements != 0) return false;
  }
  return view.size(3) % kElements == 0;
}

LinearAttentionShape ShapeOf(const LinearAttentionSizes& sizes) {
  return {sizes.batch,   sizes.tokens,    sizes.heads,
          sizes.key_dim, sizes.value_dim, BytesPerElement(sizes.dtype)};
}

template <typename Params>
void SetGates(const LinearAttentionInputs& inputs, Params& params) {
  if (inputs.transition == Transition::kScalar) {
    params.log_gate = static_cast<const float*>(inputs.log_gate.data());
    params.gate_stride_b = inputs.log_gate.stride(0);
    params.gate_stride_t = inputs.log_gate.stride(1);
    params.gate_stride_h = inputs.log_gate.stride(2);
  }
  if (inputs.transition == Transition::kConstant) {
    params.log_decay = static_cast<const float*>(inputs.log_decay.data());
    params.decay_stride_h = inputs.log_decay.stride(0);
  }
}

}  // namespace

StateSlots ViewOfState(const ConstTensorView& state) {
  if (state.is_null()) return {};
  // Kernels write states only through those that were given to be written.
  auto* data = const_cast<float*>(static_cast<const float*>(state.data()));
  return {data,           0, state.stride(0), state.stride(1), state.stride(2),
          state.stride(3)};
}

absl::Status CheckHeadDims(const char* op, const LinearAttentionSizes& sizes) {
  if (std::max(sizes.key_dim, sizes.value_dim) <= kCudaMaxHeadDim) {
    return absl::OkStatus();
  }
  return absl::UnimplementedError(
      absl::StrCat(op, ": head sizes ", sizes.key_dim, " and ", sizes.value_dim,
                   ", the cuda backend has up to ", kCudaMaxHeadDim,
                   "; use the cpu backend or more heads of a smaller size"));
}

absl::Status CheckTransition(const char* op, Transition transition) {
  const char* name = nullptr;
  if (transition == Transition::kVector) name = "vector gates";
  if (transition == Transition::kDense) name = "the delta rule";
  if (name == nullptr) return absl::OkStatus();
  return absl::UnimplementedError(
      absl::StrCat(op, ": the cuda backend has no kernels for ", name,
                   "; the cpu backend has them"));
}

absl::Status CheckKeyHeads(const char* op, const LinearAttentionSizes& sizes) {
  if (sizes.key_heads == sizes.heads) return absl::OkStatus();
  return absl::UnimplementedError(absl::StrCat(
      op, ": ", sizes.key_heads, " heads of q and k for ", sizes.heads,
      " of v, the cuda backend needs as many; repeat q and k, or use the cpu "
      "backend"));
}

absl::Status CheckSnapshots(const char* op,
                            const LinearAttentionOutputs& outputs) {
  if (outputs.snapshot_interval == 0) return absl::OkStatus();
  return absl::UnimplementedError(absl::StrCat(
      op, ": the cuda backend has no prefix snapshots; call it for ",
      outputs.snapshot_interval, " tokens at a time, or use the cpu backend"));
}

FoldParams FoldOfRanks(const ConstTensorView& states,
                       const ConstTensorView& log_decays,
                       const ConstTensorView& initial_state, bool reverse,
                       const TensorView& state) {
  FoldParams params;
  params.initial = ViewOfState(initial_state);
  params.result = ViewOfState(state);
  params.batch = state.size(0);
  params.heads = state.size(1);
  params.y_dim = state.size(2);
  params.z_dim = state.size(3);
  params.reverse = reverse;
  params.to_log2 = static_cast<float>(kLog2E);
  if (states.is_null() || states.size(0) == 0) return params;
  params.count = states.size(0);
  params.states = {const_cast<float*>(static_cast<const float*>(states.data())),
                   states.stride(0),
                   states.stride(1),
                   states.stride(2),
                   states.stride(3),
                   states.stride(4)};
  params.log_decays = static_cast<const float*>(log_decays.data());
  params.decay_stride_segment = log_decays.stride(0);
  params.decay_stride_b = log_decays.stride(1);
  params.decay_stride_h = log_decays.stride(2);
  return params;
}

DecodeParams DecodeOf(const LinearAttentionInputs& inputs,
                      const LinearAttentionSizes& sizes,
                      const ConstTensorView& slots,
                      const TensorView& state_pool, const TensorView& o) {
  DecodeParams params;
  params.q = RowsOf(inputs.q);
  params.k = RowsOf(inputs.k);
  params.v = RowsOf(inputs.v);
  params.o = RowsOf(o);
  SetGates(inputs, params);
  params.slots = slots.data_as<int32_t>();
  params.slot_stride = slots.stride(0);
  params.pool = ViewOfState(state_pool);
  params.pool.stride_segment = params.pool.stride_b;
  params.pool_slots = state_pool.size(0);
  params.tokens = sizes.tokens;
  params.heads = sizes.heads;
  params.batch = sizes.batch;
  params.key_dim = static_cast<int>(sizes.key_dim);
  params.value_dim = static_cast<int>(sizes.value_dim);
  params.f32 = sizes.dtype == DType::kF32;
  const auto address = reinterpret_cast<uintptr_t>(state_pool.data());
  params.vectors = address % 16 == 0 && state_pool.stride(0) % 4 == 0 &&
                   state_pool.stride(1) % 4 == 0 &&
                   state_pool.stride(2) % 4 == 0;
  params.scale = static_cast<float>(inputs.scale);
  return params;
}

void GradientRoles::SetStates(const StateSlots& states,
                              const StateSlots& d_states,
                              const StateSlots& d_initial) {
  d_q.entering = Transposed(states);
  d_k.entering = Transposed(d_states);
  d_v.entering = d_states;
  d_v.leaving = d_initial;
}

void GradientRoles::SetDecays(const float* entering_log2,
                              const float* following_log2) {
  d_q.entering_log2 = entering_log2;
  d_k.entering_log2 = following_log2;
  d_v.entering_log2 = following_log2;
}

LinearAttentionCall::LinearAttentionCall(const LinearAttentionInputs& inputs,
                                         const LinearAttentionSizes& sizes,
                                         LinearAttentionStage stage,
                                         const TensorView& workspace,
                                         Stream& stream)
    : inputs_(inputs),
      sizes_(sizes),
      shape_(ShapeOf(sizes)),
      stage_(stage),
      plan_(PlanCudaLinearAttention(stage, shape_, gated())),
      workspace_(workspace),
      stream_(stream.native_handle()) {
  grid_.tokens = sizes.tokens;
  grid_.batch = sizes.batch;
  grid_.heads = sizes.heads;
  grid_.chunks = plan_.chunks;
  grid_.segments = plan_.segments;
  grid_.segment_chunks = plan_.segment_chunks;
  grid_.tables = reinterpret_cast<DecayTable*>(Floats(plan_.tables));
}

absl::Status LinearAttentionCall::Check(const char* op) const {
  RETURN_IF_ERROR(CheckTransition(op, inputs_.transition));
  RETURN_IF_ERROR(CheckKeyHeads(op, sizes_));
  RETURN_IF_ERROR(CheckHeadDims(op, sizes_));
  OperandCheck check(op, kCudaOperands);
  check.Workspace(workspace_,
                  CudaLinearAttentionWorkspaceBytes(stage_, shape_));
  // The largest grids: a block per four tables, and of the scan.
  const int64_t sequences = sizes_.batch * sizes_.heads;
  const int64_t blocks =
      std::max(sequences * plan_.chunks / 4 + 1,
               sequences * plan_.segments * 3 * LinearZTiles(1, 256));
  RETURN_IF_ERROR(CheckGrid(op, blocks, "batch or heads"));
  return check.status();
}

void LinearAttentionCall::UseOperands(
    std::initializer_list<ConstTensorView> operands) {
  for (const ConstTensorView& operand : operands) {
    if (!IsAligned(operand)) general_ = true;
  }
}

float* LinearAttentionCall::Floats(int64_t offset) const {
  return reinterpret_cast<float*>(static_cast<std::byte*>(workspace_.data()) +
                                  offset);
}

StateSlots LinearAttentionCall::SlotsAt(int64_t offset) const {
  const int64_t state = sizes_.key_dim * sizes_.value_dim;
  return {Floats(offset),       sizes_.batch * sizes_.heads * state,
          sizes_.heads * state, state,
          sizes_.value_dim,     1};
}

absl::Status LinearAttentionCall::Launched(const absl::Status& status) const {
  if (status.code() != absl::StatusCode::kUnimplemented) return status;
  return absl::UnimplementedError(absl::StrCat(
      "head sizes ", sizes_.key_dim, " and ", sizes_.value_dim, " of ",
      DTypeName(sizes_.dtype), ": ", std::string(status.message())));
}

SummaryRole LinearAttentionCall::StateSummary(const StateSlots& states,
                                              bool skip_last) const {
  SummaryRole role;
  role.y = RowsOf(inputs_.k);
  role.z = RowsOf(inputs_.v);
  role.states = states;
  role.y_dim = static_cast<int>(sizes_.key_dim);
  role.z_dim = static_cast<int>(sizes_.value_dim);
  role.skip_last = skip_last;
  role.precise = gated() && stage_ == LinearAttentionStage::kGradients;
  return role;
}

SummaryRole LinearAttentionCall::GradientSummary(const ConstTensorView& d_o,
                                                 const StateSlots& states,
                                                 bool skip_last) const {
  SummaryRole role = StateSummary(states, skip_last);
  role.y = RowsOf(inputs_.q);
  role.z = RowsOf(d_o);
  role.reverse = 1;
  role.column_scale = static_cast<float>(inputs_.scale);
  return role;
}

ScanRole LinearAttentionCall::OutputRole(const TensorView& o) const {
  ScanRole role;
  role.x = RowsOf(inputs_.q);
  role.y = RowsOf(inputs_.k);
  role.z = RowsOf(inputs_.v);
  role.out = RowsOf(o);
  role.y_dim = static_cast<int>(sizes_.key_dim);
  role.z_dim = static_cast<int>(sizes_.value_dim);
  role.score_scale = static_cast<float>(inputs_.scale);
  role.row_scale = role.score_scale;
  return role;
}

GradientRoles LinearAttentionCall::RolesOfGradients(
    const ConstTensorView& d_o, const LinearAttentionGradients& d) const {
  const auto key_dim = static_cast<int>(sizes_.key_dim);
  const auto value_dim = static_cast<int>(sizes_.value_dim);
  const auto scale = static_cast<float>(inputs_.scale);
  const TokenRows q = RowsOf(inputs_.q);
  const TokenRows k = RowsOf(inputs_.k);
  const TokenRows v = RowsOf(inputs_.v);
  const TokenRows o = RowsOf(d_o);
  GradientRoles roles;
  ScanRole& d_q = roles.d_q;
  d_q.x = o;
  d_q.y = v;
  d_q.z = k;
  d_q.out = RowsOf(d.d_q);
  d_q.y_dim = value_dim;
  d_q.z_dim = key_dim;
  d_q.score_scale = scale;
  d_q.row_scale = scale;
  ScanRole& d_k = roles.d_k;
  d_k.x = v;
  d_k.y = o;
  d_k.z = q;
  d_k.out = RowsOf(d.d_k);
  d_k.y_dim = value_dim;
  d_k.z_dim = key_dim;
  d_k.reverse = 1;
  d_k.score_scale = scale;
  d_k.column_scale = scale;
  ScanRole& d_v = roles.d_v;
  d_v.x = k;
  d_v.y = q;
  d_v.z = o;
  d_v.out = RowsOf(d.d_v);
  d_v.y_dim = key_dim;
  d_v.z_dim = value_dim;
  d_v.reverse = 1;
  d_v.score_scale = scale;
  d_v.column_scale = scale;
  if (gated()) {
    d_q.partner = q;
    d_q.dots = Floats(plan_.query_dots);
    d_k.partner = k;
    d_k.dots = Floats(plan_.key_dots);
  }
  return roles;
}

absl::Status LinearAttentionCall::Tables() {
  TableParams params;
  params.grid = grid_;
  SetGates(inputs_, params);
  params.document_starts = inputs_.documents.device_starts;
  params.document_count = inputs_.documents.count;
  return Launched(LaunchTables(params, stream_));
}

absl::Status LinearAttentionCall::SegmentDecays(const TensorView& total) {
  SegmentDecayParams params;
  params.grid = grid_;
  params.segment_log2 = Floats(plan_.segment_log2);
  params.entering_log2 = Floats(plan_.entering_log2);
  params.following_log2 = Floats(plan_.following_log2);
  if (!total.is_null()) {
    params.total = static_cast<float*>(total.data());
    params.total_stride_b = total.stride(0);
    params.total_stride_h = total.stride(1);
  }
  return Launched(LaunchSegmentDecays(params, stream_));
}

absl::Status LinearAttentionCall::Summaries(
    std::initializer_list<SummaryRole> roles) {
  SummaryParams params;
  params.grid = grid_;
  params.role_count = 0;
  for (const SummaryRole& role : roles) {
    params.roles[params.role_count++] = role;
  }
  params.z_tiles =
      static_cast<int>(LinearZTiles(sizes_.key_dim, sizes_.value_dim));
  params.f32 = sizes_.dtype == DType::kF32;
  return Launched(
      LaunchSummary(LinearTileFor(sizes_.key_dim, general_), params, stream_));
}

absl::Status LinearAttentionCall::Fold(const StateSlots& states,
                                       const StateSlots& initial,
                                       const StateSlots& result, bool reverse,
                                       bool exclusive) {
  FoldParams params;
  params.states = states;
  params.initial = initial;
  params.result = result;
  params.log_decays = Floats(plan_.segment_log2);
  params.decay_stride_segment = sizes_.batch * sizes_.heads;
  params.decay_stride_b = sizes_.heads;
  params.decay_stride_h = 1;
  params.count = plan_.segments;
  params.batch = sizes_.batch;
  params.heads = sizes_.heads;
  params.y_dim = sizes_.key_dim;
  params.z_dim = sizes_.value_dim;
  params.reverse = reverse;
  params.exclusive = exclusive;
  return Launched(LaunchFold(params, stream_));
}

absl::Status LinearAttentionCall::Scan(std::initializer_list<ScanRole> roles,
                                       bool inter) {
  ScanParams params;
  params.grid = grid_;
  params.role_count = 0;
  for (const ScanRole& role : roles) params.roles[params.role_count++] = role;
  const ScanRole& first = *roles.begin();
  params.z_tiles = static_cast<int>(LinearZTiles(first.y_dim, first.z_dim));
  params.f32 = sizes_.dtype == DType::kF32;
  params.inter = inter;
  return Launched(
      LaunchScan(LinearTileFor(first.y_dim, general_), params, stream_));
}

absl::Status LinearAttentionCall::ScanGradients(const GradientRoles& roles,
                                                bool inter) {
  if (sizes_.key_dim == sizes_.value_dim) {
    return Scan({roles.d_q, roles.d_k, roles.d_v}, inter);
  }
  RETURN_IF_ERROR(Scan({roles.d_q, roles.d_k}, inter));
  return Scan({roles.d_v}, inter);
}

absl::Status LinearAttentionCall::GateGradient(const TensorView& d_log_gate,
                                               const StateSlots* initial,
                                               const StateSlots* d_final) {
  GateGradientParams params;
  params.grid = grid_;
  params.query_dots = Floats(plan_.query_dots);
  params.key_dots = Floats(plan_.key_dots);
  params.z_tiles =
      static_cast<int>(LinearZTiles(sizes_.value_dim, sizes_.key_dim));
  params.states = states();
  params.states.data += params.states.stride_segment;  // at segments' ends
  params.d_states = d_states();
  if (initial != nullptr) {
    params.inter = 1;
    params.initial = *initial;
    params.d_final = *d_final;
  }
  params.segment_log2 = Floats(plan_.segment_log2);
  params.entering_log2 = entering_log2();
  params.following_log2 = following_log2();
  params.y_dim = sizes_.key_dim;
  params.z_dim = sizes_.value_dim;
  params.d_log_gate = static_cast<float*>(d_log_gate.data());
  params.stride_b = d_log_gate.stride(0);
  params.stride_t = d_log_gate.stride(1);
  params.stride_h = d_log_gate.stride(2);
  return Launched(LaunchGateGradient(params, stream_));
}

}  // namespace longspan::kernels::cuda
