#include "kernels/api/dense.h"

#include <cstring>
#include <memory>

#include "common/base/status_macros.h"
#include "kernels/api/dense_operands.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/cpu_stream.h"
#include "kernels/cpu/matmul.h"
#include "kernels/cpu/op_kernels.h"
#include "kernels/cpu/work_split.h"

namespace longspan::kernels {
namespace {

// Columns of an embedding row that one task of the backward op owns.
constexpr int64_t kEmbedColumns = 64;

// Rows of different ids may be the same row of the table, so tasks own columns
// and walk all ids in order.
template <typename T>
void EmbedBackwardColumns(ConstTensorView ids, ConstTensorView d_out,
                          TensorView d_table, ThreadPool& pool) {
  const int32_t* id = ids.data_as<int32_t>();
  const T* rows = d_out.data_as<T>();
  T* table = d_table.data_as<T>();
  const auto add = RowKernelsOf<T>().add;
  ForBlocks(
      pool, d_out.size(1), kEmbedColumns, [&](int64_t begin, int64_t end) {
        for (int64_t m = 0; m < ids.size(0); ++m) {
          T* target = table + id[m] * d_table.stride(0) + begin;
          add(end - begin, target, rows + m * d_out.stride(0) + begin, target);
        }
      });
}

class CpuDense : public Dense {
 public:
  absl::Status MatMul(ConstTensorView a, ConstTensorView b, TensorView c,
                      const MatMulOptions& options, Stream& stream) override {
    RETURN_IF_ERROR(CheckMatMul(a, b, c, options));
    return MatMulOnPool(a, b, c, options, CpuStream::PoolOf(stream));
  }

  absl::Status Embed(ConstTensorView ids, ConstTensorView table, TensorView out,
                     Stream& stream) override {
    RETURN_IF_ERROR(CheckEmbed(ids, table, out));
    const int32_t* id = ids.data_as<int32_t>();
    const int64_t width = BytesPerElement(table.dtype());
    const auto* from = static_cast<const char*>(table.data());
    auto* to = static_cast<char*>(out.data());
    ForBlocks(CpuStream::PoolOf(stream), out.size(0), GrainOf(out.size(1)),
              [&](int64_t begin, int64_t end) {
                for (int64_t m = begin; m < end; ++m) {
                  std::memcpy(to + m * out.stride(0) * width,
                              from + id[m] * table.stride(0) * width,
                              out.size(1) * width);
                }
              });
    return absl::OkStatus();
  }

  absl::Status EmbedBackward(ConstTensorView ids, ConstTensorView d_out,
                             TensorView d_table, Stream& stream) override {
    RETURN_IF_ERROR(CheckEmbedBackward(ids, d_out, d_table));
    ThreadPool& pool = CpuStream::PoolOf(stream);
    if (d_out.dtype() == DType::kF32) {
      EmbedBackwardColumns<float>(ids, d_out, d_table, pool);
    } else {
      EmbedBackwardColumns<double>(ids, d_out, d_table, pool);
    }
    return absl::OkStatus();
  }
};

}  // namespace

std::unique_ptr<Dense> CreateCpuDense() {
  LimitOneDnn();
  return std::make_unique<CpuDense>();
}

}  // namespace longspan::kernels
