// silu, swiglu and add: one thread loads a pack of every input and stores a
// pack of every output.
#include "common/base/status_macros.h"
#include "kernels/api/elementwise_operands.h"
#include "kernels/cost/cuda_op_plan.h"
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/op_launch.h"
#include "kernels/cuda/row_runs.h"
#include "kernels/cuda/row_views.h"
#include "kernels/cuda/sigmoid.h"

namespace longspan::kernels::cuda {
namespace {

struct MapParams {
  RowSpace space;
  RowOperand operands[kMaxRowOperands];  // inputs, then outputs
};

// The functions map in[kInputs] to out[kOutputs], element by element.
struct SiluMap {
  static constexpr int kInputs = 1;
  static constexpr int kOutputs = 1;
  LONGSPAN_DEVICE static void Apply(const float* in, float* out) {
    out[0] = Silu(in[0]);
  }
};

struct SiluBackwardMap {  // x, d_y -> d_x
  static constexpr int kInputs = 2;
  static constexpr int kOutputs = 1;
  LONGSPAN_DEVICE static void Apply(const float* in, float* out) {
    out[0] = in[1] * SiluDerivative(in[0]);
  }
};

struct SwiGluMap {  // gate, up -> y
  static constexpr int kInputs = 2;
  static constexpr int kOutputs = 1;
  LONGSPAN_DEVICE static void Apply(const float* in, float* out) {
    out[0] = Silu(in[0]) * in[1];
  }
};

struct SwiGluBackwardMap {  // gate, up, d_y -> d_gate, d_up
  static constexpr int kInputs = 3;
  static constexpr int kOutputs = 2;
  LONGSPAN_DEVICE static void Apply(const float* in, float* out) {
    const float s = Sigmoid(in[0]);
    out[0] = in[2] * in[1] * (s * (1.0f + in[0] * (1.0f - s)));
    out[1] = in[2] * (in[0] * s);
  }
};

struct AddMap {
  static constexpr int kInputs = 2;
  static constexpr int kOutputs = 1;
  LONGSPAN_DEVICE static void Apply(const float* in, float* out) {
    out[0] = in[0] + in[1];
  }
};

template <typename T, typename Map>
LONGSPAN_KERNEL(kCudaThreads, 2)
MapKernel(const MapParams p) {
  const int64_t pack = BlockIndex() * kCudaThreads + ThreadIndex();
  if (pack >= p.space.packs) return;
  const PackPlace place = PlaceOf(p.space, pack);
  const int64_t count = p.space.inner - place.column;
  Pack in[Map::kInputs];
  LONGSPAN_UNROLL
  for (int i = 0; i < Map::kInputs; ++i) {
    const T* data = static_cast<const T*>(p.operands[i].data);
    in[i] = LoadPack(data + OffsetOf(p.space, p.operands[i], place), count,
                     p.space.wide);
  }
  Pack out[Map::kOutputs];
  LONGSPAN_UNROLL
  for (int e = 0; e < kPackElements; ++e) {
    float from[Map::kInputs];
    float to[Map::kOutputs];
    LONGSPAN_UNROLL
    for (int i = 0; i < Map::kInputs; ++i) from[i] = in[i].v[e];
    Map::Apply(from, to);
    LONGSPAN_UNROLL
    for (int i = 0; i < Map::kOutputs; ++i) out[i].v[e] = to[i];
  }
  LONGSPAN_UNROLL
  for (int i = 0; i < Map::kOutputs; ++i) {
    const RowOperand& operand = p.operands[Map::kInputs + i];
    T* data = static_cast<T*>(const_cast<void*>(operand.data));
    StorePack(out[i], data + OffsetOf(p.space, operand, place), count,
              p.space.wide);
  }
}

// `views` are the inputs, then the outputs.
template <typename Map>
absl::Status RunMap(const char* op,
                    std::initializer_list<ConstTensorView> views,
                    Stream& stream) {
  const ConstTensorView& first = *views.begin();
  const RowViews rows = RowViewsOf(views);
  MapParams params;
  params.space = rows.space;
  for (int i = 0; i < kMaxRowOperands; ++i) {
    params.operands[i] = rows.operands[i];
  }
  const LaunchShape shape = {CudaBlocks(rows.space.packs), kCudaThreads, 0};
  if (first.dtype() == DType::kBF16) {
    return Launch(op, MapKernel<Bf16, Map>, shape, stream, params);
  }
  return Launch(op, MapKernel<float, Map>, shape, stream, params);
}

}  // namespace

absl::Status CudaElementwise::Silu(ConstTensorView x, TensorView y,
                                   Stream& stream) {
  RETURN_IF_ERROR(CheckSameRows("Silu", x, {y}, kCudaOperands));
  return RunMap<SiluMap>("Silu", {x, y}, stream);
}

absl::Status CudaElementwise::SiluBackward(ConstTensorView x,
                                           ConstTensorView d_y, TensorView d_x,
                                           Stream& stream) {
  RETURN_IF_ERROR(CheckSameRows("SiluBackward", x, {d_y, d_x}, kCudaOperands));
  return RunMap<SiluBackwardMap>("SiluBackward", {x, d_y, d_x}, stream);
}

absl::Status CudaElementwise::SwiGlu(ConstTensorView gate, ConstTensorView up,
                                     TensorView y, Stream& stream) {
  RETURN_IF_ERROR(CheckSameRows("SwiGlu", gate, {up, y}, kCudaOperands));
  return RunMap<SwiGluMap>("SwiGlu", {gate, up, y}, stream);
}

absl::Status CudaElementwise::SwiGluBackward(ConstTensorView gate,
                                             ConstTensorView up,
                                             ConstTensorView d_y,
                                             TensorView d_gate, TensorView d_up,
                                             Stream& stream) {
  RETURN_IF_ERROR(CheckSameRows("SwiGluBackward", gate, {up, d_y, d_gate, d_up},
                                kCudaOperands));
  return RunMap<SwiGluBackwardMap>("SwiGluBackward",
                                   {gate, up, d_y, d_gate, d_up}, stream);
}

absl::Status CudaElementwise::Add(ConstTensorView a, ConstTensorView b,
                                  TensorView out, Stream& stream) {
  RETURN_IF_ERROR(CheckSameRows("Add", a, {b, out}, kCudaOperands));
  return RunMap<AddMap>("Add", {a, b, out}, stream);
}

}  // namespace longspan::kernels::cuda
