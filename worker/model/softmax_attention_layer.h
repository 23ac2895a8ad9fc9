// Causal softmax attention with rotary positions, grouped queries and an
// optional window, under sequence parallelism:
//
//     q, k, v = x Wq^T, x Wk^T, x Wv^T     q, k <- rotary(q), rotary(k)
//     K, V    = k, v of all ranks, behind the rows seen before
//     o       = softmax(q K^T / sqrt(D) + mask) V           y = o Wo^T
//
// How queries meet the keys of other ranks is the method's
// (worker/parallel/softmax_exchange.h). Keys and values are projected straight
// into the buffer that it sends, slice by slice of their heads.
//
// State: the keys and values seen, [B, rows, 2, Hkv, D]; with a window old
// rows are dropped when the buffer is full.
#pragma once

#include <vector>

#include "common/model_spec/model_spec.h"
#include "worker/model/linear_weight.h"
#include "worker/model/mixer.h"
#include "worker/model/parameters.h"
#include "worker/parallel/softmax_exchange.h"

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
                   kernels::ConstTensorView input, LayerState* state,
                   MixerTape& tape) override;
  absl::Status Output(const RankContext& context, RowRange rows,
                      MixerTape& tape, kernels::TensorView residual) override;

  absl::Status OutputBackward(const RankContext& context, RowRange rows,
                              kernels::ConstTensorView d_output,
                              MixerTape& tape,
                              MixerGradients& gradients) override;
  absl::Status MixBackward(const RankContext& context, const LayerPass& pass,
                           kernels::ConstTensorView input,
                           kernels::ConstTensorView d_output, MixerTape& tape,
                           MixerGradients& gradients) override;
  absl::Status ProjectBackward(const RankContext& context, RowRange rows,
                               kernels::ConstTensorView input, MixerTape& tape,
                               MixerGradients& gradients,
                               kernels::TensorView d_input) override;

 private:
  using Tape = SoftmaxAttentionTape;
  using Gradients = SoftmaxAttentionLayerGradients;

  // Tokens of the tape's keys and values.
  static int64_t KeptTokens(const RankContext& context, const LayerPass& pass);
  // This rank's rows of a batch element that are consecutive among those kept,
  // and where the first lies there: one run for each part of its tokens.
  struct KeptRun {
    RowRange rows;
    int64_t kept = 0;
  };
  static KeptRun RunOf(const RankContext& context, const ShardPart& part) {
    const RowRange rows = {part.first_row, part.first_row + part.range.size()};
    const bool all = GathersKeys(context.softmax_method, context.ranks());
    return {rows, all ? part.range.begin : rows.begin};
  }
  // The slices in which keys and values lie and travel.
  std::vector<KeySlice> SlicesOf(const RankContext& context,
                                 const LayerPass& pass) const;
  // Keys and values of a slice of heads into rows [M, 2 G D].
  absl::Status ProjectSlice(const RankContext& context, const KeySlice& slice,
                            kernels::ConstTensorView input,
                            kernels::TensorView rows) const;
  // With a state, keys and values are the rows seen before and the piece.
  SoftmaxExchangeTensors TensorsOf(const RankContext& context,
                                   const LayerPass& pass,
                                   const LayerState* state,
                                   const Tape& tape) const;
  // Makes room for the piece by dropping rows that no window reaches.
  absl::Status MakeRoom(const RankContext& context, int64_t piece_tokens,
                        LayerState& state) const;
  static void Advance(const LayerPass& pass, LayerState& state);
  // The state's rows as [B, rows, width].
  kernels::TensorView StateRows(const LayerState& state) const;

  // The keys of `rows` [B, T, 2 G D], which stand at `positions` [T].
  absl::Status RotateKeys(const RankContext& context,
                          kernels::ConstTensorView positions, bool inverse,
                          kernels::TensorView rows) const;
  absl::Status RotateQueries(const RankContext& context, const LayerPass& pass,
                             bool inverse, kernels::TensorView q) const;

  const SoftmaxAttentionSpec spec_;
  const int layer_;
  const int64_t query_width_;       // H D
  const int64_t width_;             // 2 Hkv D: keys and values of a token
  LinearWeight project_query_;      // [H D, d]
  LinearWeight project_key_value_;  // [2 Hkv D, d]
  LinearWeight project_out_;        // [d, H D]
};

}  // namespace longspan::worker
