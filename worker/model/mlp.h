// SwiGLU: y = (silu(x Wg^T) * (x Wu^T)) Wd^T. Gate and up are one product.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "common/model_spec/model_spec.h"
#include "kernels/api/tensor_view.h"
#include "worker/model/linear_weight.h"
#include "worker/model/parameters.h"
#include "worker/model/row_range.h"
#include "worker/parallel/rank_context.h"

namespace longspan::worker {

struct MlpTape {
  kernels::TensorView gate_up;  // [M, 2 F]
  kernels::TensorView hidden;   // [M, F] silu(gate) * up
};

// Some rows of it.
inline MlpTape RowsOf(RowRange rows, const MlpTape& tape) {
  return {rows.Of(tape.gate_up), rows.Of(tape.hidden)};
}

class Mlp {
 public:
  // `prefix`: "model.layers.0.mlp".
  Mlp(const ModelSpec& spec, const std::string& prefix,
      const Parameters& parameters);

  MlpTape AllocateTape(const RankContext& context, int64_t rows) const;

  // residual [M, d] += mlp(x [M, d]).
  absl::Status Forward(const RankContext& context, kernels::ConstTensorView x,
                       const MlpTape& tape, kernels::TensorView residual) const;

  // d_x [M, d] from d_y [M, d].
  absl::Status Backward(const RankContext& context, kernels::ConstTensorView x,
                        kernels::ConstTensorView d_y, const MlpTape& tape,
                        kernels::TensorView d_x) const;

 private:
  int64_t intermediate_size_;
  LinearWeight gate_up_;  // [2 F, d]
  LinearWeight down_;     // [d, F]
};

}  // namespace longspan::worker
