// RMSNorm over rows, alone or with a gate. A team of threads owns a row and
// keeps it in registers, so that every operand crosses the memory bus once.
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "kernels/api/elementwise_operands.h"
#include "kernels/api/operand_check.h"
#include "kernels/cost/cuda_op_plan.h"
#include "kernels/cost/workspace.h"
#include "kernels/cuda/column_sum.h"
#include "kernels/cuda/element_pack.h"
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/op_launch.h"
#include "kernels/cuda/row_views.h"
#include "kernels/cuda/sigmoid.h"
#include "kernels/cuda/team_sum.h"

namespace longspan::kernels::cuda {
namespace {

// Rows of a view [M, N] or [M, G, N]; row r is group r % G of token r / G.
struct NormRows {
  void* data = nullptr;  // null: absent
  int64_t stride = 0;
  int64_t group_stride = 0;
};

struct NormParams {
  NormRows x;
  NormRows gate;
  NormRows y;    // forward
  NormRows d_y;  // backward, as are all below
  NormRows d_x;
  NormRows d_gate;
  const float* weight;
  float* rstd;
  float* partial_sums;  // [blocks, size]
  bool accumulate;
  int64_t rows;
  int64_t groups;
  int64_t size;
  float epsilon;
  int lanes;
  bool wide;
};

// The packs of a row that a thread of its team owns.
struct NormLane {
  int lane;
  int lanes;
  int64_t size;

  LONGSPAN_DEVICE int64_t Column(int k) const {
    return (lane + static_cast<int64_t>(k) * lanes) * kPackElements;
  }
  // Not positive where the row has ended.
  LONGSPAN_DEVICE int64_t Count(int k) const { return size - Column(k); }
};

template <typename T>
LONGSPAN_DEVICE T* RowOf(const NormRows& rows, int64_t row, int64_t groups) {
  const int64_t token = groups == 1 ? row : row / groups;
  return static_cast<T*>(rows.data) + token * rows.stride +
         (row - token * groups) * rows.group_stride;
}

template <typename T, int kPacks>
LONGSPAN_DEVICE void LoadRow(const NormRows& rows, int64_t row,
                             const NormParams& p, const NormLane& lane,
                             RawPack<T> (&raw)[kPacks]) {
  const T* from = RowOf<const T>(rows, row, p.groups);
  const int64_t end = row < p.rows ? p.size : 0;
  LONGSPAN_UNROLL
  for (int k = 0; k < kPacks; ++k) {
    const int64_t column = lane.Column(k);
    raw[k] = LoadRaw(from + column, end - column, p.wide);
  }
}

template <typename T, int kPacks>
LONGSPAN_KERNEL(kCudaThreads, 2)
NormKernel(const NormParams p) {
  const int team = ThreadIndex() / p.lanes;
  const NormLane lane = {ThreadIndex() % p.lanes, p.lanes, p.size};
  const int64_t row = BlockIndex() * (kCudaThreads / p.lanes) + team;
  RawPack<T> x[kPacks];
  LoadRow<T, kPacks>(p.x, row, p, lane, x);
  float squares = 0.0f;
  LONGSPAN_UNROLL
  for (int k = 0; k < kPacks; ++k) {
    const Pack values = Unpack(x[k]);
    LONGSPAN_UNROLL
    for (int i = 0; i < kPackElements; ++i) {
      squares += values.v[i] * values.v[i];
    }
  }
  auto* shared = reinterpret_cast<float*>(SharedMemory());
  squares = TeamSum(squares, p.lanes, shared, 0);
  if (row >= p.rows) return;
  const float mean = squares / static_cast<float>(p.size);
  const float rstd = 1.0f / sqrtf(mean + p.epsilon);
  if (lane.lane == 0) p.rstd[row] = rstd;
  LONGSPAN_UNROLL
  for (int k = 0; k < kPacks; ++k) {
    const int64_t count = lane.Count(k);
    if (count <= 0) break;
    const int64_t column = lane.Column(k);
    const Pack weight = LoadPack(p.weight + column, count, p.wide);
    Pack y = Unpack(x[k]);
    LONGSPAN_UNROLL
    for (int i = 0; i < kPackElements; ++i) y.v[i] *= rstd * weight.v[i];
    if (p.gate.data != nullptr) {
      const T* from = RowOf<const T>(p.gate, row, p.groups) + column;
      const Pack gate = LoadPack(from, count, p.wide);
      LONGSPAN_UNROLL
      for (int i = 0; i < kPackElements; ++i) y.v[i] *= Silu(gate.v[i]);
    }
    StorePack(y, RowOf<T>(p.y, row, p.groups) + column, count, p.wide);
  }
}

// One pack of the backward op: `grad` is d_y times silu(gate), the gradient
// that reaches x * rstd * weight.
struct NormPack {
  Pack normed;  // x * rstd
  Pack grad;
};

template <typename T>
LONGSPAN_DEVICE NormPack NormPackOf(const RawPack<T>& x, const RawPack<T>& d_y,
                                    const RawPack<T>& gate, bool gated,
                                    float rstd) {
  NormPack pack = {Unpack(x), Unpack(d_y)};
  const Pack gates = Unpack(gate);
  LONGSPAN_UNROLL
  for (int i = 0; i < kPackElements; ++i) {
    pack.normed.v[i] *= rstd;
    if (gated) pack.grad.v[i] *= Silu(gates.v[i]);
  }
  return pack;
}

// d_gate = d_y * normed * weight * silu'(gate).
template <typename T>
LONGSPAN_DEVICE void StoreGateGradient(const NormParams& p, int64_t row,
                                       int64_t column, const RawPack<T>& d_y,
                                       const RawPack<T>& gate,
                                       const Pack& normed, const Pack& weight) {
  Pack d_gate = Unpack(d_y);
  const Pack gates = Unpack(gate);
  LONGSPAN_UNROLL
  for (int i = 0; i < kPackElements; ++i) {
    d_gate.v[i] *= normed.v[i] * weight.v[i] * SiluDerivative(gates.v[i]);
  }
  StorePack(d_gate, RowOf<T>(p.d_gate, row, p.groups) + column, p.size - column,
            p.wide);
}

// d_x = rstd * (grad * weight - normed * mean(grad * weight * normed)).
template <typename T>
LONGSPAN_DEVICE void StoreInputGradient(const NormParams& p, int64_t row,
                                        int64_t column, const NormPack& pack,
                                        const Pack& weight, float rstd,
                                        float mean) {
  T* to = RowOf<T>(p.d_x, row, p.groups) + column;
  const int64_t count = p.size - column;
  Pack d_x = {};
  if (p.accumulate) d_x = LoadPack(to, count, p.wide);
  LONGSPAN_UNROLL
  for (int i = 0; i < kPackElements; ++i) {
    d_x.v[i] += rstd * (pack.grad.v[i] * weight.v[i] - pack.normed.v[i] * mean);
  }
  StorePack(d_x, to, count, p.wide);
}

// Adds the teams' sums of d_weight in order into the block's partial row.
template <int kPacks>
LONGSPAN_DEVICE void StorePartialRow(const NormParams& p, const NormLane& lane,
                                     const Pack (&sums)[kPacks],
                                     float* shared) {
  const int columns = p.lanes * kPacks * kPackElements;
  const int team = ThreadIndex() / p.lanes;
  SyncBlock();  // `shared` has been used for row sums
  LONGSPAN_UNROLL
  for (int k = 0; k < kPacks; ++k) {
    LONGSPAN_UNROLL
    for (int i = 0; i < kPackElements; ++i) {
      shared[team * columns + lane.Column(k) + i] = sums[k].v[i];
    }
  }
  SyncBlock();
  float* to = p.partial_sums + BlockIndex() * p.size;
  for (int64_t i = ThreadIndex(); i < p.size; i += kCudaThreads) {
    float sum = 0.0f;
    for (int t = 0; t < kCudaThreads / p.lanes; ++t) {
      sum += shared[t * columns + i];
    }
    to[i] = sum;
  }
}

template <typename T, int kPacks>
LONGSPAN_KERNEL(kCudaThreads, kPacks == 4 ? 1 : 2)
NormBackwardKernel(const NormParams p) {
  const int teams = kCudaThreads / p.lanes;
  const NormLane lane = {ThreadIndex() % p.lanes, p.lanes, p.size};
  const bool gated = p.gate.data != nullptr;
  auto* shared = reinterpret_cast<float*>(SharedMemory());
  Pack sums[kPacks] = {};
  int phase = 0;
  for (int64_t first = BlockIndex() * teams; first < p.rows;
       first += BlockCount() * teams) {
    const int64_t row = first + ThreadIndex() / p.lanes;
    const bool active = row < p.rows;
    const float rstd = active ? p.rstd[row] : 0.0f;
    RawPack<T> x[kPacks];
    RawPack<T> d_y[kPacks];
    RawPack<T> gate[kPacks] = {};  // unread if not gated
    LoadRow<T, kPacks>(p.x, row, p, lane, x);
    LoadRow<T, kPacks>(p.d_y, row, p, lane, d_y);
    if (gated) LoadRow<T, kPacks>(p.gate, row, p, lane, gate);
    float dot = 0.0f;
    LONGSPAN_UNROLL
    for (int k = 0; k < kPacks; ++k) {
      const NormPack pack = NormPackOf(x[k], d_y[k], gate[k], gated, rstd);
      const Pack weight =
          LoadPack(p.weight + lane.Column(k), lane.Count(k), p.wide);
      LONGSPAN_UNROLL
      for (int i = 0; i < kPackElements; ++i) {
        const float product = pack.grad.v[i] * pack.normed.v[i];
        sums[k].v[i] += product;
        dot += product * weight.v[i];
      }
    }
    dot = TeamSum(dot, p.lanes, shared, phase);
    phase ^= 1;
    const float mean = dot / static_cast<float>(p.size);
    LONGSPAN_UNROLL
    for (int k = 0; k < kPacks; ++k) {
      const int64_t column = lane.Column(k);
      if (!active || column >= p.size) break;
      const NormPack pack = NormPackOf(x[k], d_y[k], gate[k], gated, rstd);
      const Pack weight = LoadPack(p.weight + column, p.size - column, p.wide);
      StoreInputGradient<T>(p, row, column, pack, weight, rstd, mean);
      if (gated) {
        StoreGateGradient(p, row, column, d_y[k], gate[k], pack.normed, weight);
      }
    }
  }
  StorePartialRow<kPacks>(p, lane, sums, shared);
}

NormRows RowsOfView(ConstTensorView view) {
  if (view.is_null()) return {};
  return {const_cast<void*>(view.data()), view.stride(0),
          view.rank() == 3 ? view.stride(1) : 0};
}

bool AllAllowVectors(std::initializer_list<ConstTensorView> views) {
  bool allowed = true;
  for (const ConstTensorView& view : views) {
    allowed &= view.is_null() || AllowsVectors(view);
  }
  return allowed;
}

NormParams ParamsOf(const RmsNormInputs& inputs) {
  NormParams params = {};
  params.x = RowsOfView(inputs.x);
  params.gate = RowsOfView(inputs.gate);
  params.weight = inputs.weight.data_as<float>();
  params.groups = inputs.x.rank() == 3 ? inputs.x.size(1) : 1;
  params.rows = inputs.x.size(0) * params.groups;
  params.size = inputs.weight.size(0);
  params.epsilon = static_cast<float>(inputs.epsilon);
  return params;
}

absl::Status CheckSize(const char* op, const RmsNormInputs& inputs) {
  const int64_t size = inputs.weight.size(0);
  if (size <= kCudaNormSize) return absl::OkStatus();
  return absl::UnimplementedError(absl::StrCat(
      op, ": rows of ", size, " elements, the cuda backend has up to ",
      kCudaNormSize, "; use the cpu backend or a smaller hidden size"));
}

template <typename T, int kPacks>
absl::Status RunForward(const NormParams& params, int64_t blocks,
                        Stream& stream) {
  return Launch("RmsNorm", NormKernel<T, kPacks>,
                {blocks, kCudaThreads, kTeamSumFloats * sizeof(float)}, stream,
                params);
}

// Shared memory holds the teams' partial rows, which need more than row sums.
template <typename T, int kPacks>
absl::Status RunBackward(const NormParams& params, int64_t blocks,
                         Stream& stream) {
  constexpr int kSharedBytes =
      kCudaThreads * kPacks * kPackElements * static_cast<int>(sizeof(float));
  static_assert(kSharedBytes >=
                kTeamSumFloats * static_cast<int>(sizeof(float)));
  return Launch("RmsNormBackward", NormBackwardKernel<T, kPacks>,
                {blocks, kCudaThreads, kSharedBytes}, stream, params);
}

using Runner = absl::Status (*)(const NormParams&, int64_t, Stream&);

template <typename T>
Runner ForwardRunner(int packs) {
  return packs == 1   ? RunForward<T, 1>
         : packs == 2 ? RunForward<T, 2>
                      : RunForward<T, 4>;
}

template <typename T>
Runner BackwardRunner(int packs) {
  return packs == 1   ? RunBackward<T, 1>
         : packs == 2 ? RunBackward<T, 2>
                      : RunBackward<T, 4>;
}

}  // namespace

absl::Status CudaElementwise::RmsNorm(const RmsNormInputs& inputs, TensorView y,
                                      TensorView rstd, Stream& stream) {
  RETURN_IF_ERROR(CheckRmsNorm(inputs, y, rstd, kCudaOperands));
  RETURN_IF_ERROR(CheckSize("RmsNorm", inputs));
  NormParams params = ParamsOf(inputs);
  params.y = RowsOfView(y);
  params.rstd = rstd.data_as<float>();
  params.wide = AllAllowVectors({inputs.x, inputs.gate, inputs.weight, y});
  const CudaNormPlan plan = PlanCudaNorm(params.rows, params.size);
  params.lanes = plan.lanes;
  const Runner run = y.dtype() == DType::kBF16
                         ? ForwardRunner<Bf16>(plan.packs)
                         : ForwardRunner<float>(plan.packs);
  return run(params, plan.blocks, stream);
}

absl::Status CudaElementwise::RmsNormBackward(
    const RmsNormInputs& inputs, ConstTensorView rstd, ConstTensorView d_y,
    const RmsNormGradients& gradients, TensorView workspace, Stream& stream) {
  RETURN_IF_ERROR(
      CheckRmsNormBackward(inputs, rstd, d_y, gradients, kCudaOperands));
  RETURN_IF_ERROR(CheckSize("RmsNormBackward", inputs));
  const int64_t tokens = inputs.x.size(0);
  NormParams params = ParamsOf(inputs);
  OperandCheck check("RmsNormBackward", kCudaOperands);
  const int64_t bytes = RmsNormBackwardWorkspaceBytes(
      tokens, params.size, BytesPerElement(d_y.dtype()), BackendKind::kCuda, 1);
  RETURN_IF_ERROR(check.Workspace(workspace, bytes).status());
  const CudaNormPlan plan = PlanCudaNormBackward(tokens, params.size);
  params.d_y = RowsOfView(d_y);
  params.d_x = RowsOfView(gradients.d_x);
  params.d_gate = RowsOfView(gradients.d_gate);
  params.rstd = const_cast<float*>(rstd.data_as<float>());
  params.partial_sums = static_cast<float*>(workspace.data());
  params.accumulate = gradients.accumulate;
  params.lanes = plan.lanes;
  params.wide = AllAllowVectors({inputs.x, inputs.gate, inputs.weight, d_y,
                                 gradients.d_x, gradients.d_gate});
  const Runner run = d_y.dtype() == DType::kBF16
                         ? BackwardRunner<Bf16>(plan.packs)
                         : BackwardRunner<float>(plan.packs);
  RETURN_IF_ERROR(run(params, plan.blocks, stream));
  return AddColumnSums("RmsNormBackward", params.partial_sums, plan.blocks,
                       params.size, gradients.d_weight.data_as<float>(),
                       stream);
}

}  // namespace longspan::kernels::cuda
