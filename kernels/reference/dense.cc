// The executable definition of kernels/api/dense.h (Dense). Sums in double.
#include <memory>

#include "common/base/status_macros.h"
#include "kernels/api/dense_operands.h"
#include "kernels/reference/reference_ops.h"
#include "kernels/reference/scalar_access.h"

namespace longspan::kernels {
namespace {

double LoadMaybeTransposed(ConstTensorView view, int64_t row, int64_t column,
                           bool transposed) {
  return transposed ? Load(view, {column, row}) : Load(view, {row, column});
}

class ReferenceDense : public Dense {
 public:
  absl::Status MatMul(ConstTensorView a, ConstTensorView b, TensorView c,
                      const MatMulOptions& options, Stream& stream) override;
  absl::Status Embed(ConstTensorView ids, ConstTensorView table, TensorView out,
                     Stream& stream) override;
  absl::Status EmbedBackward(ConstTensorView ids, ConstTensorView d_out,
                             TensorView d_table, Stream& stream) override;
};

}  // namespace

absl::Status ReferenceDense::MatMul(ConstTensorView a, ConstTensorView b,
                                    TensorView c, const MatMulOptions& options,
                                    Stream&) {
  RETURN_IF_ERROR(CheckMatMul(a, b, c, options, kReferenceOperands));
  const int64_t inner = a.size(options.transpose_a ? 0 : 1);
  for (int64_t m = 0; m < c.size(0); ++m) {
    for (int64_t n = 0; n < c.size(1); ++n) {
      double sum = options.accumulate ? Load(c, {m, n}) : 0.0;
      for (int64_t k = 0; k < inner; ++k) {
        sum += LoadMaybeTransposed(a, m, k, options.transpose_a) *
               LoadMaybeTransposed(b, k, n, options.transpose_b);
      }
      Store(c, {m, n}, sum);
    }
  }
  return absl::OkStatus();
}

absl::Status ReferenceDense::Embed(ConstTensorView ids, ConstTensorView table,
                                   TensorView out, Stream&) {
  RETURN_IF_ERROR(CheckEmbed(ids, table, out, kReferenceOperands));
  const int32_t* id = ids.data_as<int32_t>();
  for (int64_t m = 0; m < out.size(0); ++m) {
    for (int64_t n = 0; n < out.size(1); ++n) {
      Store(out, {m, n}, Load(table, {id[m], n}));
    }
  }
  return absl::OkStatus();
}

absl::Status ReferenceDense::EmbedBackward(ConstTensorView ids,
                                           ConstTensorView d_out,
                                           TensorView d_table, Stream&) {
  RETURN_IF_ERROR(CheckEmbedBackward(ids, d_out, d_table, kReferenceOperands));
  const int32_t* id = ids.data_as<int32_t>();
  for (int64_t m = 0; m < d_out.size(0); ++m) {
    for (int64_t n = 0; n < d_out.size(1); ++n) {
      Accumulate(d_table, {id[m], n}, Load(d_out, {m, n}));
    }
  }
  return absl::OkStatus();
}

std::unique_ptr<Dense> CreateReferenceDense() {
  return std::make_unique<ReferenceDense>();
}

}  // namespace longspan::kernels
