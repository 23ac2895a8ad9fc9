// A mixer whose heads the ranks share, each over all tokens (Megatron-LM's
// sequence parallelism; common/model_spec/head_slices.h has who has what, and
// what it costs):
//
//     forward    gather the input, compute this rank's heads, reduce-scatter
//                the output
//     backward   gather the gradient of the output, compute, reduce-scatter the
//                gradient of the input; meanwhile gather the input again, for
//                the gradients of the weights
//
// The inner mixer is an ordinary one with fewer heads, which runs as if the
// rank were alone. Its parameters are a copy of this rank's part of the
// layer's, refreshed before every forward pass; its gradients are added to the
// layer's, where the gang's gradient sync completes the sums of parameters that
// heads share.
//
// Project and Output only hand rows on; everything happens in Mix and
// MixBackward. For passes without a state: the others are kUnimplemented.
#pragma once

#include <memory>
#include <vector>

#include "common/model_spec/head_slices.h"
#include "common/model_spec/model_spec.h"
#include "worker/model/mixer.h"
#include "worker/model/parameters.h"

namespace longspan::worker {

class HeadParallelMixer : public Mixer {
 public:
  // Whether a layer of this kind is cut in this way.
  static bool Serves(const RankContext& context, LayerKind kind);

  // With the part of `parameters`, which must outlive the mixer.
  HeadParallelMixer(const ModelSpec& spec, int layer,
                    const Parameters& parameters);

  // The inner mixer's, over all tokens, and `summed`.
  MixerTape AllocateTape(const RankContext& context,
                         const LayerPass& pass) const override;
  MixerGradients AllocateGradients(const RankContext& context,
                                   const LayerPass& pass) const override;

  absl::Status Prepare(const RankContext& context, const LayerPass& pass,
                       LayerState* state, MixerTape& tape) override;
  absl::Status Project(const RankContext&, const LayerPass&, RowRange,
                       kernels::ConstTensorView, MixerTape&) override {
    return absl::OkStatus();
  }
  absl::Status Mix(const RankContext& context, const LayerPass& pass,
                   kernels::ConstTensorView input, LayerState* state,
                   MixerTape& tape) override;
  absl::Status Output(const RankContext& context, RowRange rows,
                      MixerTape& tape, kernels::TensorView residual) override;

  absl::Status OutputBackward(const RankContext&, RowRange,
                              kernels::ConstTensorView, MixerTape&,
                              MixerGradients&) override {
    return absl::OkStatus();
  }
  absl::Status MixBackward(const RankContext& context, const LayerPass& pass,
                           kernels::ConstTensorView input,
                           kernels::ConstTensorView d_output, MixerTape& tape,
                           MixerGradients& gradients) override;
  absl::Status ProjectBackward(const RankContext& context, RowRange rows,
                               kernels::ConstTensorView input, MixerTape& tape,
                               MixerGradients& gradients,
                               kernels::TensorView d_input) override;

 private:
  // Rows of a parameter, [rows, columns]: in the layer's and in the own copy.
  struct Slice {
    kernels::TensorView whole;
    kernels::TensorView own;
    kernels::TensorView whole_gradient;
    kernels::TensorView own_gradient;
  };
  // The rank as if it were alone, and the pass over all tokens.
  struct Whole {
    Whole(const RankContext& context, const LayerPass& pass)
        : alone(context.Alone()), shard(pass.shard->Whole()), pass{&shard} {}
    absl::Status FillPositions();

    const RankContext alone;
    const SequenceShard shard;
    LayerPass pass;
  };

  void AddSlices(const std::vector<ParameterSlice>& slices,
                 const Parameters& parameters);
  absl::Status CopyParameters(const RankContext& context) const;
  absl::Status AddGradients(const RankContext& context) const;

  // [B N, d]: the rows of rank after rank, each batch-major.
  kernels::TensorView AllocateGathered(const RankContext& context,
                                       const LayerPass& pass) const;
  std::unique_ptr<Work> Gather(const RankContext& context,
                               const LayerPass& pass, Direction direction,
                               kernels::ConstTensorView own,
                               kernels::TensorView gathered) const;
  absl::Status Scatter(const RankContext& context, const LayerPass& pass,
                       Direction direction, kernels::TensorView gathered,
                       kernels::TensorView own) const;

  const int layer_;
  const int64_t hidden_size_;
  Parameters& own_;
  std::vector<Slice> slices_;
  std::unique_ptr<Mixer> inner_;
};

}  // namespace longspan::worker
