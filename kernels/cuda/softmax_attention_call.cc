#include "kernels/cuda/softmax_attention_call.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "kernels/api/operand_check.h"
#include "kernels/api/softmax_attention_operands.h"
#include "kernels/cost/workspace.h"
#include "kernels/cuda/cuda_status.h"

namespace longspan::kernels::cuda {
namespace {

using Sizes = SoftmaxAttentionSizes;

constexpr double kLog2E = 1.4426950408889634;
// Rows and positions are 32 bits wide in the kernels, with room for a tile.
constexpr int64_t kMaxTokens = (int64_t{1} << 31) - 1024;

SoftmaxAttentionShape ShapeOf(const Sizes& sizes) {
  return {sizes.batch,
          sizes.query_tokens,
          sizes.key_tokens,
          sizes.heads,
          sizes.key_heads,
          sizes.head_dim,
          BytesPerElement(sizes.dtype)};
}

absl::Status Refuse(const char* op, const std::string& problem) {
  return absl::UnimplementedError(absl::StrCat(op, " on cuda: ", problem));
}

absl::Status CheckSupported(const char* op,
                            const SoftmaxAttentionInputs& inputs,
                            const Sizes& sizes) {
  if (sizes.head_dim > kCudaAttentionMaxHeadDim) {
    return Refuse(op, absl::StrCat("head dimension ", sizes.head_dim,
                                   " is beyond ", kCudaAttentionMaxHeadDim,
                                   "; the cpu backend has up to 512"));
  }
  if (!(inputs.scale > 0.0) || !std::isfinite(inputs.scale)) {
    return Refuse(
        op, absl::StrCat("scale ", inputs.scale,
                         " is not a positive number; a negative one belongs "
                         "into the queries"));
  }
  const int64_t rows = std::max(
      sizes.query_tokens * sizes.heads / sizes.key_heads, sizes.key_tokens);
  if (rows > kMaxTokens) {
    return Refuse(op, absl::StrCat(rows, " rows are more than ", kMaxTokens,
                                   "; split the queries or the keys"));
  }
  return absl::OkStatus();
}

absl::Status CheckWorkspace(const char* op, const TensorView& workspace,
                            int64_t bytes) {
  OperandCheck check(op);
  check.Workspace(workspace, bytes);
  return check.status();
}

// [B, T, H, D] as the kernels take it.
template <typename Operand, typename View>
Operand AsOperand(const View& view) {
  return {view.data(), view.stride(0), view.stride(1), view.stride(2)};
}

bool HasVectors(const ConstTensorView& view) {
  const int64_t unit = 16 / BytesPerElement(view.dtype());
  for (int dim = 0; dim < 3; ++dim) {
    if (view.size(dim) > 1 && view.stride(dim) % unit != 0) return false;
  }
  return reinterpret_cast<uintptr_t>(view.data()) % 16 == 0 &&
         view.size(3) % 8 == 0;
}

AttentionVisibility VisibilityOf(const SoftmaxAttentionInputs& inputs,
                                 const Sizes& sizes) {
  AttentionVisibility visible = {};
  visible.query_tokens = static_cast<int>(sizes.query_tokens);
  visible.key_tokens = static_cast<int>(sizes.key_tokens);
  visible.causal = inputs.mask != AttentionMask::kNone;
  // A window that reaches any key is none, and no sum with it overflows.
  const bool window = inputs.mask == AttentionMask::kWindow &&
                      inputs.window <= inputs.query_offset + sizes.query_tokens;
  visible.window = window ? inputs.window : 0;
  visible.query_offset = inputs.query_offset;
  visible.starts = inputs.documents.device_starts;
  visible.start_count = inputs.documents.count;
  return visible;
}

AttentionBlockOrder OrderOf(const CudaAttentionGrid& grid,
                            bool last_tile_first) {
  return {grid.units, grid.section_units, static_cast<int>(grid.row_tiles),
          last_tile_first};
}

AttentionShapeParams ShapeParams(const SoftmaxAttentionInputs& inputs,
                                 const Sizes& sizes, bool vectors) {
  AttentionShapeParams shape = {};
  shape.visible = VisibilityOf(inputs, sizes);
  shape.heads = static_cast<int>(sizes.heads);
  shape.group = static_cast<int>(sizes.heads / sizes.key_heads);
  shape.head_dim = static_cast<int>(sizes.head_dim);
  shape.vectors = vectors;
  shape.scale = static_cast<float>(inputs.scale);
  shape.scale_log2 = static_cast<float>(inputs.scale * kLog2E);
  return shape;
}

template <typename T>
T* WorkspaceAt(const TensorView& workspace, int64_t offset) {
  if (workspace.is_null()) return nullptr;
  return reinterpret_cast<T*>(static_cast<std::byte*>(workspace.data()) +
                              offset);
}

SoftmaxForwardParams ForwardParams(const SoftmaxAttentionInputs& inputs,
                                   const Sizes& sizes,
                                   const CudaAttentionForwardPlan& plan,
                                   bool vectors, const TensorView& o,
                                   const TensorView& lse,
                                   const TensorView& workspace) {
  SoftmaxForwardParams p = {};
  p.shape = ShapeParams(inputs, sizes, vectors);
  p.shape.order = OrderOf(plan.grid, /*last_tile_first=*/true);
  p.q = AsOperand<AttentionOperand>(inputs.q);
  p.k = AsOperand<AttentionOperand>(inputs.k);
  p.v = AsOperand<AttentionOperand>(inputs.v);
  p.o = AsOperand<AttentionResult>(o);
  p.lse = lse.data_as<float>();
  p.lse_batch_stride = lse.stride(0);
  p.lse_head_stride = lse.stride(1);
  p.packed_heads = plan.packed_heads;
  p.rows = static_cast<int>(plan.rows);
  p.splits = plan.splits;
  p.partial_o = WorkspaceAt<float>(workspace, plan.output_offset);
  p.partial_log_sum = WorkspaceAt<float>(workspace, plan.log_sum_offset);
  return p;
}

absl::StatusOr<SoftmaxForwardCall> PrepareForward(
    const SoftmaxAttentionInputs& inputs, int splits, const TensorView& o,
    const TensorView& lse, const TensorView& workspace) {
  constexpr char kOp[] = "SoftmaxAttention";
  ASSIGN_OR_RETURN(const Sizes sizes,
                   CheckSoftmaxForward(inputs, o, lse, kCudaOperands));
  RETURN_IF_ERROR(CheckSupported(kOp, inputs, sizes));
  const bool vectors = HasVectors(inputs.q) && HasVectors(inputs.k) &&
                       HasVectors(inputs.v) && HasVectors(o);
  const SoftmaxAttentionShape shape = ShapeOf(sizes);
  SoftmaxForwardCall call;
  call.plan = splits > 0 ? PlanCudaAttentionForwardSplit(shape, splits)
              : vectors  ? PlanCudaAttentionForward(shape)
                         : PlanCudaAttentionForwardByElements(shape);
  RETURN_IF_ERROR(CheckGrid(kOp, call.plan.grid.blocks, "batch or heads"));
  RETURN_IF_ERROR(CheckWorkspace(kOp, workspace, call.plan.workspace_bytes));
  call.params =
      ForwardParams(inputs, sizes, call.plan, vectors, o, lse, workspace);
  return call;
}

}  // namespace

absl::StatusOr<SoftmaxForwardCall> PrepareSoftmaxForward(
    const SoftmaxAttentionInputs& inputs, TensorView o, TensorView lse,
    TensorView workspace) {
  return PrepareForward(inputs, /*splits=*/0, o, lse, workspace);
}

absl::StatusOr<SoftmaxForwardCall> PrepareSoftmaxForwardSplit(
    const SoftmaxAttentionInputs& inputs, int splits, TensorView o,
    TensorView lse, TensorView workspace) {
  return PrepareForward(inputs, splits, o, lse, workspace);
}

absl::StatusOr<SoftmaxBackwardCall> PrepareSoftmaxBackward(
    const SoftmaxAttentionInputs& inputs, const SoftmaxAttentionSaved& saved,
    ConstTensorView d_o, const SoftmaxAttentionGradients& gradients,
    TensorView workspace) {
  constexpr char kOp[] = "SoftmaxAttentionBackward";
  ASSIGN_OR_RETURN(
      const Sizes sizes,
      CheckSoftmaxBackward(inputs, saved, d_o, gradients, kCudaOperands));
  RETURN_IF_ERROR(CheckSupported(kOp, inputs, sizes));
  SoftmaxBackwardCall call;
  call.plan = PlanCudaAttentionBackward(ShapeOf(sizes));
  RETURN_IF_ERROR(CheckGrid(kOp, call.plan.by_key.blocks, "batch or heads"));
  RETURN_IF_ERROR(CheckGrid(kOp, call.plan.by_query.blocks, "batch or heads"));
  RETURN_IF_ERROR(CheckWorkspace(kOp, workspace, call.plan.workspace_bytes));
  const bool vectors = HasVectors(inputs.q) && HasVectors(inputs.k) &&
                       HasVectors(inputs.v) && HasVectors(d_o) &&
                       HasVectors(gradients.d_q) && HasVectors(gradients.d_k) &&
                       HasVectors(gradients.d_v);
  SoftmaxBackwardParams& p = call.params;
  p = {};
  p.shape = ShapeParams(inputs, sizes, vectors);
  p.q = AsOperand<AttentionOperand>(inputs.q);
  p.k = AsOperand<AttentionOperand>(inputs.k);
  p.v = AsOperand<AttentionOperand>(inputs.v);
  p.o = AsOperand<AttentionOperand>(saved.o);
  p.d_o = AsOperand<AttentionOperand>(d_o);
  p.d_q = AsOperand<AttentionResult>(gradients.d_q);
  p.d_k = AsOperand<AttentionResult>(gradients.d_k);
  p.d_v = AsOperand<AttentionResult>(gradients.d_v);
  p.lse = saved.lse.data_as<float>();
  p.lse_batch_stride = saved.lse.stride(0);
  p.lse_head_stride = saved.lse.stride(1);
  p.batch = sizes.batch;
  p.log_sum = WorkspaceAt<float>(workspace, call.plan.log_sum_offset);
  p.delta = WorkspaceAt<float>(workspace, call.plan.delta_offset);
  return call;
}

}  // namespace longspan::kernels::cuda
