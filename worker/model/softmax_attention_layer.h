// Causal softmax attention with rotary positions, grouped queries and an
// optional window, under sequence parallelism (LASP-2H):
//
//     q, k, v = x Wq^T, x Wk^T, x Wv^T     q, k <- rotary(q), rotary(k)
//     K, V    = AllGather(k, v) of all ranks, behind the rows seen before
//     o       = softmax(q K^T / sqrt(D) + mask) V           y = o Wo^T
//
// Keys and values are projected straight into the buffer that is gathered.
// Backward: the gradients of all rows are reduce-scattered to their owners.
//
// State: the keys and values seen, [B, rows, 2, Hkv, D]; with a window old
// rows are dropped when the buffer is full.
#pragma once

#include <vector>

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
  MixerGradients AllocateGradients(const RankContext& context,
                                   const LayerPass& pass) const override;

  absl::Status Prepare(const RankContext& context, const LayerPass& pass,
                       LayerState* state, MixerTape& tape) override;
  absl::Status Project(const RankContext& context, const LayerPass& pass,
                       RowRange rows, kernels::ConstTensorView input,
                       MixerTape& tape) override;
  absl::Status Mix(const RankContext& context, const LayerPass& pass,
                   LayerState* state, MixerTape& tape) override;
  absl::Status Output(const RankContext& context, RowRange rows,
                      MixerTape& tape, kernels::TensorView residual) override;

  absl::Status OutputBackward(const RankContext& context, RowRange rows,
                              kernels::ConstTensorView d_output,
                              MixerTape& tape,
                              MixerGradients& gradients) override;
  absl::Status MixBackward(const RankContext& context, const LayerPass& pass,
                           MixerTape& tape, MixerGradients& gradients) override;
  absl::Status ProjectBackward(const RankContext& context, RowRange rows,
                               kernels::ConstTensorView input, MixerTape& tape,
                               MixerGradients& gradients,
                               kernels::TensorView d_input) override;

 private:
  using Tape = SoftmaxAttentionTape;
  using Gradients = SoftmaxAttentionLayerGradients;

  // What attention reads: the rows seen before, then the piece.
  struct KeyValueRows {
    kernels::TensorView rows;              // [B, cached + N, width]
    std::vector<int64_t> document_starts;  // in `rows`
  };
  KeyValueRows RowsSeen(const LayerPass& pass, const LayerState* state,
                        const Tape& tape) const;
  // Makes room for the piece by dropping rows that no window reaches.
  absl::Status MakeRoom(const RankContext& context, int64_t piece_tokens,
                        LayerState& state) const;
  static void Advance(const LayerPass& pass, LayerState& state);
  // The state's rows as [B, rows, width].
  kernels::TensorView StateRows(const LayerState& state) const;

  absl::Status Rotate(const RankContext& context, const LayerPass& pass,
                      bool inverse, kernels::TensorView q,
                      kernels::TensorView own) const;
  // Keys and values of rows [B, T, width] as [B, T, Hkv, D].
  kernels::TensorView Keys(kernels::TensorView rows) const;
  kernels::TensorView Values(kernels::TensorView rows) const;
  kernels::SoftmaxAttentionInputs Operands(const LayerPass& pass,
                                           const KeyValueRows& seen,
                                           const Tape& tape) const;
  kernels::TensorView AllocateStaging(const RankContext& context,
                                      const LayerPass& pass) const;
  kernels::TensorView AllocateWorkspace(const RankContext& context,
                                        const LayerPass& pass, bool backward,
                                        int64_t key_tokens) const;

  const SoftmaxAttentionSpec spec_;
  const int layer_;
  const int64_t query_width_;       // H D
  const int64_t width_;             // 2 Hkv D: keys and values of a token
  LinearWeight project_query_;      // [H D, d]
  LinearWeight project_key_value_;  // [2 Hkv D, d]
  LinearWeight project_out_;        // [d, H D]
};

}  // namespace longspan::worker
