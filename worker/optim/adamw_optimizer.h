// The optimiser of a training job: AdamW over named parameters, with clipping
// by the global norm and steps skipped whose gradients are not finite.
//
// Every rank holds all parameters, the summed gradients and both moments (the
// moments belong to the caller, so that a checkpoint can read them), and makes
// the same update. Weight decay applies to matrices only. Not thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/api/device_memory.h"
#include "kernels/api/optimizer.h"
#include "kernels/api/stream.h"
#include "kernels/api/tensor_view.h"
#include "kernels/cost/backend_kind.h"
#include "worker/tensor/tensor.h"

namespace longspan::worker {

// One parameter and what is kept beside it: views of equal element count and
// type (f32 or f64), contiguous, in any shape.
struct OptimizedParameter {
  std::string name;
  kernels::TensorView value;
  kernels::TensorView gradient;
  kernels::TensorView first_moment;
  kernels::TensorView second_moment;
  bool decays = false;  // rank 2 or more
  // Receives the new value rounded to bf16; may be null.
  kernels::TensorView compute = {};
};

// What changes from step to step, in the memory of the backend, so that an
// update needs no host number and can be replayed.
struct UpdateScalars {
  kernels::ConstTensorView learning_rate;  // [1] f32
  kernels::ConstTensorView step;           // [1] i64: next_step()
  kernels::TensorView sum_of_squares;      // [1] f64, written
  kernels::TensorView clip_factor;         // [1] f32, written
};

struct AdamWSettings {
  kernels::AdamWOptions adamw;  // betas and epsilon
  double weight_decay = 0.1;
  double clip_norm = 1.0;  // 0: never clip
};

struct UpdateResult {
  double gradient_norm = 0.0;  // before clipping
  double clip_factor = 1.0;
  bool skipped = false;
};

class AdamWOptimizer {
 public:
  // `ops`, `memory` and `stream` must outlive the optimiser. kInvalidArgument
  // names the parameter whose views do not match.
  static absl::StatusOr<AdamWOptimizer> Create(
      std::vector<OptimizedParameter> parameters, const AdamWSettings& settings,
      kernels::BackendKind backend, kernels::Optimizer& ops,
      kernels::DeviceMemory& memory, kernels::Stream& stream);

  // Submits one update: the squared global norm of the gradients, the clip
  // factor, and new values. All ranks must hold the same gradients.
  absl::Status Submit(const UpdateScalars& scalars);
  // What the update did, given its sum of squares, after the stream has been
  // synchronised. A step whose norm is not finite has changed nothing but
  // skipped().
  UpdateResult Finish(double sum_of_squares);

  int64_t next_step() const { return updates_ + 1; }
  // Updates made (the t of the bias correction) and steps skipped.
  int64_t updates() const { return updates_; }
  int64_t skipped() const { return skipped_; }
  // Continues from a checkpoint.
  void Restore(int64_t updates, int64_t skipped);

  const std::vector<OptimizedParameter>& parameters() const {
    return parameters_;
  }

 private:
  AdamWOptimizer(std::vector<OptimizedParameter> parameters,
                 const AdamWSettings& settings, kernels::Optimizer& ops,
                 kernels::Stream& stream);

  // Immutable after construction.
  std::vector<OptimizedParameter> parameters_;
  kernels::AdamWOptions options_;
  double clip_norm_;
  kernels::Optimizer* ops_;
  kernels::Stream* stream_;
  std::vector<kernels::AdamWTensor> tensors_;
  std::vector<kernels::ConstTensorView> gradients_;

  Tensor workspace_;
  int64_t updates_ = 0;
  int64_t skipped_ = 0;
};

}  // namespace longspan::worker
