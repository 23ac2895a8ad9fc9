// Linear attention under sequence parallelism (LASP-2): basic, Lightning,
// Retention and simple GLA.
//
//     q, k, v, g, a = split(x W^T)
//     q, k, v  <- silu(conv(q, k, v))     short causal convolution, optional
//     q, k     <- phi(q), phi(k)          feature map; retention: rotary
//     log a_t  =  logsigmoid(a + bias) / 16                 simple GLA only
//     S_t      =  a_t S_{t-1} + k_t^T v_t,   o_t = Dk^-1/2 q_t S_t
//     y        =  (norm_per_head(o) * silu(g)) Wo^T         gate optional
//
// With several ranks the local summary is gathered while the intra-chunk part
// of o is computed; then the state that enters the rank adds its part. Rank 0
// knows its entering state at once and computes o in one pass.
// State: S [B, H, Dk, Dv] and the convolution's last K-1 inputs.
#pragma once

#include <vector>

#include "common/model_spec/model_spec.h"
#include "kernels/api/linear_attention.h"
#include "worker/model/linear_weight.h"
#include "worker/model/mixer.h"
#include "worker/model/norm.h"
#include "worker/model/parameters.h"
#include "worker/model/projection_path.h"
#include "worker/parallel/memory_state.h"
#include "worker/tensor/tensor.h"

namespace longspan::worker {

class LinearAttentionLayer : public Mixer {
 public:
  LinearAttentionLayer(const ModelSpec& spec, int layer,
                       const Parameters& parameters);

  MixerTape AllocateTape(const RankContext& context,
                         const LayerPass& pass) const override;
  absl::Status Forward(const RankContext& context, const LayerPass& pass,
                       kernels::ConstTensorView input, LayerState* state,
                       MixerTape& tape, kernels::TensorView residual) override;
  absl::Status Backward(const RankContext& context, const LayerPass& pass,
                        kernels::ConstTensorView input,
                        kernels::ConstTensorView d_output, MixerTape& tape,
                        kernels::TensorView d_input) override;

 private:
  const LinearAttentionSpec spec_;
  const int layer_;
};

}  // namespace longspan::worker
