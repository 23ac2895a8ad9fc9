// Moving, converting, clearing and scaling numbers.
//
// Rows that are contiguous on both sides go pack by pack; a last dimension
// with a stride goes element by element.
#include "common/base/status_macros.h"
#include "kernels/api/elementwise_operands.h"
#include "kernels/cost/cuda_op_plan.h"
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/op_launch.h"
#include "kernels/cuda/row_runs.h"
#include "kernels/cuda/row_views.h"

namespace longspan::kernels::cuda {
namespace {

struct CopyParams {
  RowSpace space;
  RowOperand from;
  RowOperand to;
};

struct StridedCopyParams {
  const void* from;
  void* to;
  int64_t count;
  int rank;
  int64_t size[kMaxRank];
  int64_t from_stride[kMaxRank];
  int64_t to_stride[kMaxRank];
};

struct ScaleParams {
  const void* x;
  const double* factor;
  void* y;
  int64_t count;
};

LONGSPAN_DEVICE void Convert(float from, Bf16* to) { *to = ToBf16(from); }
LONGSPAN_DEVICE void Convert(Bf16 from, float* to) { *to = ToFloat(from); }
template <typename Word>
LONGSPAN_DEVICE void Convert(Word from, Word* to) {
  *to = from;
}

// Words are moved as they are: their type only says how wide they are.
template <typename Word>
LONGSPAN_DEVICE void CopyPack(const Word* from, Word* to, int64_t count,
                              bool wide) {
  constexpr int kBytes = kPackElements * static_cast<int>(sizeof(Word));
  if (!wide || count < kPackElements) {
    LONGSPAN_UNROLL
    for (int i = 0; i < kPackElements; ++i) {
      if (i < count) to[i] = from[i];
    }
  } else if constexpr (kBytes == 8) {
    StoreVector8(to, LoadVector8(from));
  } else {
    constexpr int kWords = 16 / static_cast<int>(sizeof(Word));
    Vector16 words[kBytes / 16];
    LONGSPAN_UNROLL
    for (int i = 0; i < kBytes / 16; ++i) {
      words[i] = LoadVector16(from + i * kWords);
    }
    LONGSPAN_UNROLL
    for (int i = 0; i < kBytes / 16; ++i) {
      StoreVector16(to + i * kWords, words[i]);
    }
  }
}

LONGSPAN_DEVICE void CopyPack(const float* from, Bf16* to, int64_t count,
                              bool wide) {
  StorePack(LoadPack(from, count, wide), to, count, wide);
}

LONGSPAN_DEVICE void CopyPack(const Bf16* from, float* to, int64_t count,
                              bool wide) {
  StorePack(LoadPack(from, count, wide), to, count, wide);
}

template <typename From, typename To>
LONGSPAN_KERNEL(kCudaThreads, 2)
CopyKernel(const CopyParams p) {
  const int64_t pack = BlockIndex() * kCudaThreads + ThreadIndex();
  if (pack >= p.space.packs) return;
  const PackPlace place = PlaceOf(p.space, pack);
  const From* from =
      static_cast<const From*>(p.from.data) + OffsetOf(p.space, p.from, place);
  To* to = static_cast<To*>(const_cast<void*>(p.to.data)) +
           OffsetOf(p.space, p.to, place);
  CopyPack(from, to, p.space.inner - place.column, p.space.wide);
}

template <typename From, typename To>
LONGSPAN_KERNEL(kCudaThreads, 2)
StridedCopyKernel(const StridedCopyParams p) {
  int64_t rest = BlockIndex() * kCudaThreads + ThreadIndex();
  if (rest >= p.count) return;
  int64_t from = 0;
  int64_t to = 0;
  LONGSPAN_UNROLL
  for (int dim = kMaxRank - 1; dim >= 0; --dim) {
    if (dim < p.rank) {
      const int64_t above = rest / p.size[dim];
      const int64_t index = rest - above * p.size[dim];
      from += index * p.from_stride[dim];
      to += index * p.to_stride[dim];
      rest = above;
    }
  }
  Convert(static_cast<const From*>(p.from)[from], static_cast<To*>(p.to) + to);
}

template <typename Word>
LONGSPAN_KERNEL(kCudaThreads, 2)
ZeroKernel(const CopyParams p) {
  const int64_t pack = BlockIndex() * kCudaThreads + ThreadIndex();
  if (pack >= p.space.packs) return;
  const PackPlace place = PlaceOf(p.space, pack);
  Word* to = static_cast<Word*>(const_cast<void*>(p.to.data)) +
             OffsetOf(p.space, p.to, place);
  const int64_t count = p.space.inner - place.column;
  if (p.space.wide && count >= kPackElements) {
    LONGSPAN_UNROLL
    for (int i = 0; i < kPackElements; i += 16 / sizeof(Word)) {
      StoreVector16(to + i, Vector16{});
    }
    return;
  }
  LONGSPAN_UNROLL
  for (int i = 0; i < kPackElements; ++i) {
    if (i < count) to[i] = Word{0};
  }
}

template <typename From, typename To>
LONGSPAN_KERNEL(kCudaThreads, 2)
ScaleKernel(const ScaleParams p) {
  const int64_t i = BlockIndex() * kCudaThreads + ThreadIndex();
  if (i >= p.count) return;
  const double x = static_cast<double>(static_cast<const From*>(p.x)[i]);
  static_cast<To*>(p.y)[i] = static_cast<To>(*p.factor * x);
}

// Moving and clearing does not care whether the numbers are in double.
constexpr OperandRules kAnyFloating = {true, true, false};

bool RowsContiguous(ConstTensorView view) {
  const int last = view.rank() - 1;
  return last < 0 || view.size(last) == 1 || view.stride(last) == 1;
}

template <typename From, typename To>
absl::Status RunCopy(ConstTensorView from, TensorView to, Stream& stream) {
  if (RowsContiguous(from) && RowsContiguous(to)) {
    const RowViews rows = RowViewsOf({from, to});
    const CopyParams params = {rows.space, rows.operands[0], rows.operands[1]};
    return Launch("Copy", CopyKernel<From, To>,
                  {CudaBlocks(rows.space.packs), kCudaThreads, 0}, stream,
                  params);
  }
  StridedCopyParams params = {};
  params.from = from.data();
  params.to = to.data();
  params.count = from.element_count();
  params.rank = from.rank();
  for (int dim = 0; dim < from.rank(); ++dim) {
    params.size[dim] = from.size(dim);
    params.from_stride[dim] = from.stride(dim);
    params.to_stride[dim] = to.stride(dim);
  }
  return Launch("Copy", StridedCopyKernel<From, To>,
                {CudaBlocks(params.count), kCudaThreads, 0}, stream, params);
}

template <typename Word>
absl::Status RunZero(TensorView x, Stream& stream) {
  const RowViews rows = RowViewsOf({x});
  const CopyParams params = {rows.space, {}, rows.operands[0]};
  return Launch("SetZero", ZeroKernel<Word>,
                {CudaBlocks(rows.space.packs), kCudaThreads, 0}, stream,
                params);
}

template <typename From, typename To>
absl::Status RunScale(ConstTensorView x, ConstTensorView factor, TensorView y,
                      Stream& stream) {
  const ScaleParams params = {x.data(), factor.data_as<double>(), y.data(),
                              x.element_count()};
  return Launch("Scale", ScaleKernel<From, To>,
                {CudaBlocks(params.count), kCudaThreads, 0}, stream, params);
}

}  // namespace

absl::Status CudaElementwise::Copy(ConstTensorView from, TensorView to,
                                   Stream& stream) {
  RETURN_IF_ERROR(CheckCopy(from, to, kAnyFloating));
  if (from.dtype() != to.dtype()) {
    return from.dtype() == DType::kF32 ? RunCopy<float, Bf16>(from, to, stream)
                                       : RunCopy<Bf16, float>(from, to, stream);
  }
  switch (BytesPerElement(from.dtype())) {
    case 1:
      return RunCopy<uint8_t, uint8_t>(from, to, stream);
    case 2:
      return RunCopy<uint16_t, uint16_t>(from, to, stream);
    case 4:
      return RunCopy<uint32_t, uint32_t>(from, to, stream);
    default:
      return RunCopy<uint64_t, uint64_t>(from, to, stream);
  }
}

absl::Status CudaElementwise::SetZero(TensorView x, Stream& stream) {
  RETURN_IF_ERROR(CheckSameRows("SetZero", x, {}, kAnyFloating));
  switch (BytesPerElement(x.dtype())) {
    case 2:
      return RunZero<uint16_t>(x, stream);
    case 4:
      return RunZero<uint32_t>(x, stream);
    default:
      return RunZero<uint64_t>(x, stream);
  }
}

absl::Status CudaElementwise::Scale(ConstTensorView x, ConstTensorView factor,
                                    TensorView y, Stream& stream) {
  RETURN_IF_ERROR(CheckScale(x, factor, y, kCudaOperands));
  const bool to_f32 = y.dtype() == DType::kF32;
  if (x.dtype() == DType::kF32) {
    return to_f32 ? RunScale<float, float>(x, factor, y, stream)
                  : RunScale<float, double>(x, factor, y, stream);
  }
  return to_f32 ? RunScale<double, float>(x, factor, y, stream)
                : RunScale<double, double>(x, factor, y, stream);
}

}  // namespace longspan::kernels::cuda
