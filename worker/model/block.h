// A Linear-Llama3 block:
//
//     y = x + mixer(norm(x))        z = y + mlp(norm(y))
//
// Everything but the middle of the mixer is row-by-row work and runs in blocks
// of rows, so that it stays in the cache and its scratch does not grow.
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "common/model_spec/model_spec.h"
#include "kernels/api/tensor_view.h"
#include "worker/model/mixer.h"
#include "worker/model/mlp.h"
#include "worker/model/norm.h"
#include "worker/model/parameters.h"
#include "worker/model/row_range.h"

namespace longspan::worker {

struct BlockTape {
  kernels::TensorView mixer_input;  // [M, d] norm(x)
  kernels::TensorView mixer_rstd;   // [M]
  MixerTape mixer;
  kernels::TensorView middle;     // [M, d] y
  kernels::TensorView mlp_input;  // [M, d] norm(y)
  kernels::TensorView mlp_rstd;   // [M]
  MlpTape mlp;
};

class Block {
 public:
  Block(const ModelSpec& spec, int layer, const Parameters& parameters);

  BlockTape AllocateTape(const RankContext& context,
                         const LayerPass& pass) const;

  // z from x, both [M, d]; x must stay until Backward. `state` as in mixer.h.
  absl::Status Forward(const RankContext& context, const LayerPass& pass,
                       kernels::ConstTensorView x, LayerState* state,
                       BlockTape& tape, kernels::TensorView z);

  // d [M, d]: the gradient of z on entry, of x on return.
  absl::Status Backward(const RankContext& context, const LayerPass& pass,
                        kernels::ConstTensorView x, BlockTape& tape,
                        kernels::TensorView d);

 private:
  absl::Status ProjectRows(const RankContext& context, const LayerPass& pass,
                           RowRange rows, kernels::ConstTensorView x,
                           BlockTape& tape);
  absl::Status OutputRows(const RankContext& context, RowRange rows,
                          kernels::ConstTensorView x, BlockTape& tape,
                          kernels::TensorView z);
  absl::Status OutputRowsBackward(const RankContext& context, RowRange rows,
                                  BlockTape& tape, MixerGradients& gradients,
                                  kernels::TensorView d);
  absl::Status ProjectRowsBackward(const RankContext& context, RowRange rows,
                                   kernels::ConstTensorView x, BlockTape& tape,
                                   MixerGradients& gradients,
                                   kernels::TensorView d);
  int64_t RowBlock(const RankContext& context) const;

  const int64_t hidden_size_;
  Norm mixer_norm_;
  std::unique_ptr<Mixer> mixer_;
  Norm mlp_norm_;
  Mlp mlp_;
};

}  // namespace longspan::worker
