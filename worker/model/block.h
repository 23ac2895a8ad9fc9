// A Linear-Llama3 block:
//
//     y = x + mixer(norm(x))        z = y + mlp(norm(y))
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "common/model_spec/model_spec.h"
#include "kernels/api/tensor_view.h"
#include "worker/model/mixer.h"
#include "worker/model/mlp.h"
#include "worker/model/norm.h"
#include "worker/model/parameters.h"

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

  // z from x, both [M, d]; x must stay until Backward.
  absl::Status Forward(const RankContext& context, const LayerPass& pass,
                       kernels::ConstTensorView x, LayerState* state,
                       BlockTape& tape, kernels::TensorView z);

  // d [M, d]: the gradient of z on entry, of x on return.
  absl::Status Backward(const RankContext& context, const LayerPass& pass,
                        kernels::ConstTensorView x, BlockTape& tape,
                        kernels::TensorView d);

 private:
  absl::Status MixerBackward(const RankContext& context, const LayerPass& pass,
                             kernels::ConstTensorView x, BlockTape& tape,
                             kernels::TensorView d);
  absl::Status MlpBackward(const RankContext& context, BlockTape& tape,
                           kernels::TensorView d);

  const int64_t hidden_size_;
  Norm mixer_norm_;
  std::unique_ptr<Mixer> mixer_;
  Norm mlp_norm_;
  Mlp mlp_;
};

}  // namespace longspan::worker
