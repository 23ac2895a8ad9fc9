// One training step of one rank: forward, loss, backward, gradient sync, clip,
// optimise. The order of the page is the order of the algorithm.
//
// The host waits for the backend once, at the end of a step. Where streams can
// record graphs, the second step of a rank that works alone is recorded and
// later ones replay it: gangs do not, because transfers have deadlines that the
// host watches.
//
// Owns the optimiser and its moments; model, parameters and what the context
// points to belong to the caller and must outlive it. All ranks make the same
// calls and hold the same parameters, bit by bit, after every step. Not
// thread-safe.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "kernels/api/stream.h"
#include "kernels/api/tensor_view.h"
#include "worker/model/model.h"
#include "worker/model/parameters.h"
#include "worker/optim/adamw_optimizer.h"
#include "worker/parallel/rank_context.h"
#include "worker/parallel/sequence_shard.h"
#include "worker/tensor/tensor.h"
#include "worker/tensor/upload_buffer.h"

namespace longspan::worker {

// This rank's share of one global batch.
struct TrainBatch {
  const SequenceShard* shard = nullptr;
  // In host memory.
  kernels::ConstTensorView ids;      // [M] i32
  kernels::ConstTensorView targets;  // [M] i32; negative: not scored
  // Targets that are scored, all ranks together: the loss is their mean.
  int64_t scored_tokens = 0;
};

struct TrainStepResult {
  double loss = 0.0;  // nats per scored token of the global batch
  UpdateResult update;
  // Norm and update; zero where the host does not wait for them.
  absl::Duration optimizer_time;
};

class TrainStep {
 public:
  // Moments start at zero. `parameters` must have gradients.
  static absl::StatusOr<std::unique_ptr<TrainStep>> Create(
      const RankContext& context, Model* model, Parameters* parameters,
      const AdamWSettings& settings);

  // Errors are those of the collectives and of the input; after one the
  // attempt is over.
  absl::StatusOr<TrainStepResult> Run(const TrainBatch& batch,
                                      double learning_rate);

  // For checkpoints: flat, in the layout of the parameters.
  kernels::TensorView first_moments() const { return first_moments_.view(); }
  kernels::TensorView second_moments() const { return second_moments_.view(); }
  AdamWOptimizer& optimizer() { return *optimizer_; }

 private:
  TrainStep(const RankContext& context, Model* model, Parameters* parameters)
      : context_(context), model_(model), parameters_(parameters) {}

  absl::Status PutInputs(const TrainBatch& batch, double learning_rate);
  // Everything that the backend does in a step, without a number of the host.
  absl::Status Submit();
  absl::Status SubmitOrReplay();
  absl::Status ForwardBackward();
  bool can_record() const;

  const RankContext context_;
  Model* const model_;
  Parameters* const parameters_;
  Tensor first_moments_;
  Tensor second_moments_;
  std::unique_ptr<AdamWOptimizer> optimizer_;
  ModelTape tape_;  // reused from step to step

  // What a step reads and writes beside parameters, in the backend's memory, in
  // the same place every time.
  ModelInput input_;
  kernels::ConstTensorView targets_;
  UploadBuffer ids_buffer_;
  UploadBuffer targets_buffer_;
  Tensor positions_;
  Tensor scalars_in_;
  Tensor scalars_out_;
  absl::Duration optimizer_time_;

  int64_t steps_ = 0;
  std::unique_ptr<kernels::Graph> graph_;
};

}  // namespace longspan::worker
