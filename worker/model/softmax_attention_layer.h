// Causal softmax attention with rotary positions, grouped queries and an
// optional window (LASP-2H):
//
//     q, k, v = split(x W^T)      q, k <- rotary(q, k)
//     K, V    = AllGather(k, v)   of all ranks, behind the cached rows
//     o       = softmax(q K^T / sqrt(D) + causal mask) V
//     y       = o Wo^T
//
// Backward: dK, dV of all rows are reduce-scattered to their owners.
// State: the keys and values seen, [B, rows, 2, Hkv, D].
#pragma once

#include <string>

#include "common/model_spec/model_spec.h"
#include "kernels/api/softmax_attention.h"
#include "worker/model/linear_weight.h"
#include "worker/model/mixer.h"
#include "worker/model/parameters.h"

namespace longspan::worker {

class SoftmaxAttentionLayer : public Mixer {
 public:
  SoftmaxAttentionLayer(const ModelSpec& spec, int layer,
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
  const SoftmaxAttentionSpec spec_;
  const int layer_;
  const int64_t query_width_;      // H * D
  const int64_t key_value_width_;  // 2 * Hkv * D
  LinearWeight project_in_;        // [q k v, d]
  LinearWeight project_out_;       // [d, H * D]
};

}  // namespace longspan::worker
