#include "kernels/cpu/matmul.h"

#include <dlfcn.h>
#include <dnnl.h>

#include <algorithm>
#include <atomic>

#include "absl/strings/str_cat.h"
#include "kernels/cost/matmul_tiles.h"
#include "kernels/cpu/op_kernels.h"

namespace longspan::kernels {
namespace {

// Tells the OpenMP runtime behind oneDNN, once per thread, to start no threads
// of its own. Looked up by name: we do not link to OpenMP ourselves.
void KeepOpenMpSerial() {
  thread_local const bool done = [] {
    using SetThreads = void (*)(int);
    auto set_threads = reinterpret_cast<SetThreads>(
        dlsym(RTLD_DEFAULT, "omp_set_num_threads"));
    if (set_threads != nullptr) set_threads(1);
    return true;
  }();
  (void)done;
}

// Row stride as BLAS wants it: a single row may have any.
int64_t LeadingDimension(ConstTensorView view) {
  return std::max({view.stride(0), view.size(1), int64_t{1}});
}

dnnl_status_t MatMulTile(ConstTensorView a, ConstTensorView b, TensorView c,
                         const MatMulOptions& options) {
  KeepOpenMpSerial();
  const int64_t inner = a.size(options.transpose_a ? 0 : 1);
  return dnnl_sgemm(options.transpose_a ? 'T' : 'N',
                    options.transpose_b ? 'T' : 'N', c.size(0), c.size(1),
                    inner, 1.0f, a.data_as<float>(), LeadingDimension(a),
                    b.data_as<float>(), LeadingDimension(b),
                    options.accumulate ? 1.0f : 0.0f, c.data_as<float>(),
                    LeadingDimension(c));
}

dnnl_status_t MatMulTileF64(ConstTensorView a, ConstTensorView b, TensorView c,
                            const MatMulOptions& options) {
  MatMulF64 product;
  product.rows = c.size(0);
  product.columns = c.size(1);
  product.inner = a.size(options.transpose_a ? 0 : 1);
  product.a = a.data_as<double>();
  product.a_row = options.transpose_a ? 1 : a.stride(0);
  product.a_column = options.transpose_a ? a.stride(0) : 1;
  product.b = b.data_as<double>();
  product.b_row = options.transpose_b ? 1 : b.stride(0);
  product.b_column = options.transpose_b ? b.stride(0) : 1;
  product.c = c.data_as<double>();
  product.c_row = c.stride(0);
  product.accumulate = options.accumulate;
  OpKernelsFor(BestInstructionSet()).matmul_f64(product);
  return dnnl_success;
}

// An empty sum: c = 0, or c unchanged.
void ZeroRows(TensorView c) {
  const int64_t row_bytes = c.size(1) * BytesPerElement(c.dtype());
  const int64_t stride_bytes = c.stride(0) * BytesPerElement(c.dtype());
  for (int64_t m = 0; m < c.size(0); ++m) {
    std::fill_n(static_cast<char*>(c.data()) + m * stride_bytes, row_bytes, 0);
  }
}

}  // namespace

void LimitOneDnn() {
  switch (BestInstructionSet()) {
    case InstructionSet::kBaseline:
      dnnl_set_max_cpu_isa(dnnl_cpu_isa_sse41);
      return;
    case InstructionSet::kAvx2:
      dnnl_set_max_cpu_isa(dnnl_cpu_isa_avx2);
      return;
    case InstructionSet::kAvx512:
      dnnl_set_max_cpu_isa(dnnl_cpu_isa_avx512_core);
      return;
  }
}

absl::Status MatMulOnPool(ConstTensorView a, ConstTensorView b, TensorView c,
                          const MatMulOptions& options, ThreadPool& pool) {
  const int64_t rows = c.size(0);
  const int64_t columns = c.size(1);
  const int64_t inner = a.size(options.transpose_a ? 0 : 1);
  if (rows == 0 || columns == 0) return absl::OkStatus();
  if (inner == 0) {
    if (!options.accumulate) ZeroRows(c);
    return absl::OkStatus();
  }
  const MatMulTiles tiles = ChooseMatMulTiles(rows, columns, inner);
  std::atomic<int> failure{dnnl_success};
  pool.ParallelFor(tiles.count(), [&](int64_t tile, int) {
    const int64_t row = tile / tiles.column_tiles;
    const int64_t column = tile % tiles.column_tiles;
    const int64_t m0 = PartBegin(rows, tiles.row_tiles, row);
    const int64_t m1 = PartBegin(rows, tiles.row_tiles, row + 1);
    const int64_t n0 = PartBegin(columns, tiles.column_tiles, column);
    const int64_t n1 = PartBegin(columns, tiles.column_tiles, column + 1);
    const ConstTensorView a_part = a.Slice(options.transpose_a ? 1 : 0, m0, m1);
    const ConstTensorView b_part = b.Slice(options.transpose_b ? 0 : 1, n0, n1);
    const TensorView c_part = c.Slice(0, m0, m1).Slice(1, n0, n1);
    const auto multiply = c.dtype() == DType::kF32 ? MatMulTile : MatMulTileF64;
    const dnnl_status_t status = multiply(a_part, b_part, c_part, options);
    if (status != dnnl_success) failure = status;
  });
  if (failure == dnnl_success) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("oneDNN refused a product of ", rows,
                                          " x ", columns, " x ", inner,
                                          " with status ", failure.load()));
}

}  // namespace longspan::kernels
