#include "worker/train/train_step.h"

#include <utility>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "worker/parallel/gradient_sync.h"

namespace longspan::worker {
namespace {

using kernels::TensorView;

// Parameters and moments side by side, flat.
std::vector<OptimizedParameter> OptimizedParameters(
    const Parameters& parameters, const Tensor& first_moments,
    const Tensor& second_moments) {
  std::vector<OptimizedParameter> optimized;
  for (const ParameterInfo& info : parameters.layout().parameters) {
    const auto slice = [&](TensorView flat) {
      return flat.Slice(0, info.offset, info.offset + info.count);
    };
    optimized.push_back({info.name, slice(parameters.values()),
                         slice(parameters.gradients()),
                         slice(first_moments.view()),
                         slice(second_moments.view()), info.weight_decay});
  }
  return optimized;
}

void StoreLoss(TensorView tail, double loss) {
  if (tail.dtype() == kernels::DType::kF64) {
    tail.data_as<double>()[0] = loss;
  } else {
    tail.data_as<float>()[0] = static_cast<float>(loss);
  }
}

double LoadLoss(TensorView tail) {
  return tail.dtype() == kernels::DType::kF64 ? tail.data_as<double>()[0]
                                              : tail.data_as<float>()[0];
}

}  // namespace

absl::StatusOr<std::unique_ptr<TrainStep>> TrainStep::Create(
    const RankContext& context, Model* model, Parameters* parameters,
    const AdamWSettings& settings) {
  auto step = absl::WrapUnique(new TrainStep(context, model, parameters));
  const int64_t total = parameters->layout().total;
  ASSIGN_OR_RETURN(step->first_moments_,
                   Tensor::Create(parameters->dtype(), total));
  ASSIGN_OR_RETURN(step->second_moments_,
                   Tensor::Create(parameters->dtype(), total));
  ASSIGN_OR_RETURN(AdamWOptimizer optimizer,
                   AdamWOptimizer::Create(
                       OptimizedParameters(*parameters, step->first_moments_,
                                           step->second_moments_),
                       settings, context.backend_kind,
                       context.backend->optimizer(), *context.stream));
  step->optimizer_ = std::make_unique<AdamWOptimizer>(std::move(optimizer));
  return step;
}

absl::StatusOr<TrainStepResult> TrainStep::Run(const TrainBatch& batch,
                                               double learning_rate) {
  if (batch.scored_tokens < 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a training step scores ", batch.scored_tokens, " tokens"));
  }
  parameters_->ZeroGradients();
  RETURN_IF_ERROR(ForwardBackward(batch));

  // Sum over ranks, the loss in the tail of the gradients.
  RETURN_IF_ERROR(SyncGradients(context_, parameters_->gradients_and_tail()));
  TrainStepResult result;
  result.loss = LoadLoss(parameters_->tail());

  // Clip by the global norm and update; every rank does the same.
  const Clock& clock = SystemClock::Get();
  const absl::Duration began = clock.Monotonic();
  ASSIGN_OR_RETURN(const double sum_of_squares,
                   optimizer_->GradientSumOfSquares());
  ASSIGN_OR_RETURN(result.update,
                   optimizer_->Update(learning_rate, sum_of_squares));
  result.optimizer_time = clock.Monotonic() - began;
  return result;
}

absl::Status TrainStep::ForwardBackward(const TrainBatch& batch) {
  const ArenaScope step(*context_.arena);
  const ModelInput input = {batch.ids, batch.shard};

  // hidden [M, d] of this rank's M tokens.
  RETURN_IF_ERROR(model_->ForwardKeepingTape(context_, input, tape_));

  // The mean over all ranks' tokens: this rank's part, and its gradient.
  const double mean = 1.0 / static_cast<double>(batch.scored_tokens);
  float grad_scale = static_cast<float>(mean);
  double loss = 0.0;
  RETURN_IF_ERROR(model_->head().LossAndGradient(
      context_, {tape_.hidden, batch.targets, {}},
      TensorView(&grad_scale, kernels::DType::kF32, {1}),
      TensorView(&loss, kernels::DType::kF64, {1}), tape_.d_hidden));

  RETURN_IF_ERROR(model_->Backward(context_, input, tape_).status());
  RETURN_IF_ERROR(context_.stream->Synchronize());
  StoreLoss(parameters_->tail(), loss * mean);
  return absl::OkStatus();
}

}  // namespace longspan::worker
