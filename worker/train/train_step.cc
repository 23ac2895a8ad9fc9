#include "worker/train/train_step.h"

#include <cstddef>
#include <utility>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "worker/model/token_upload.h"
#include "worker/parallel/gradient_sync.h"

namespace longspan::worker {
namespace {

using kernels::DType;
using kernels::TensorView;

// Parameters and moments side by side, flat.
std::vector<OptimizedParameter> OptimizedParameters(
    const Parameters& parameters, const Tensor& first_moments,
    const Tensor& second_moments) {
  std::vector<OptimizedParameter> optimized;
  for (const ParameterInfo& info : parameters.layout().parameters) {
    const auto slice = [&](TensorView flat) {
      if (flat.is_null()) return flat;
      return flat.Slice(0, info.offset, info.offset + info.count);
    };
    optimized.push_back(
        {info.name, slice(parameters.values()), slice(parameters.gradients()),
         slice(first_moments.view()), slice(second_moments.view()),
         info.weight_decay, slice(parameters.compute())});
  }
  return optimized;
}

// Scalars that a step reads, and those that it writes.
struct ScalarsIn {
  double mean = 0.0;  // 1 / scored tokens
  int64_t step = 0;
  float grad_scale = 0.0f;
  float learning_rate = 0.0f;
};
struct ScalarsOut {
  double loss = 0.0;  // sum over this rank's tokens
  double sum_of_squares = 0.0;
  float clip_factor = 0.0f;
};

TensorView ScalarAt(const Tensor& block, size_t offset, DType dtype) {
  return TensorView(static_cast<char*>(block.view().data()) + offset, dtype,
                    {1});
}

}  // namespace

absl::StatusOr<std::unique_ptr<TrainStep>> TrainStep::Create(
    const RankContext& context, Model* model, Parameters* parameters,
    const AdamWSettings& settings) {
  auto step = absl::WrapUnique(new TrainStep(context, model, parameters));
  const int64_t total = parameters->layout().total;
  kernels::DeviceMemory& memory = context.backend->memory();
  ASSIGN_OR_RETURN(step->scalars_in_,
                   Tensor::Create(memory, DType::kU8, sizeof(ScalarsIn)));
  ASSIGN_OR_RETURN(step->scalars_out_,
                   Tensor::Create(memory, DType::kU8, sizeof(ScalarsOut)));
  ASSIGN_OR_RETURN(step->first_moments_,
                   Tensor::Create(memory, parameters->dtype(), total));
  ASSIGN_OR_RETURN(step->second_moments_,
                   Tensor::Create(memory, parameters->dtype(), total));
  ASSIGN_OR_RETURN(AdamWOptimizer optimizer,
                   AdamWOptimizer::Create(
                       OptimizedParameters(*parameters, step->first_moments_,
                                           step->second_moments_),
                       settings, context.backend_kind,
                       context.backend->optimizer(), memory, *context.stream));
  step->optimizer_ = std::make_unique<AdamWOptimizer>(std::move(optimizer));
  return step;
}

absl::StatusOr<TrainStepResult> TrainStep::Run(const TrainBatch& batch,
                                               double learning_rate) {
  if (batch.scored_tokens < 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a training step scores ", batch.scored_tokens, " tokens"));
  }
  RETURN_IF_ERROR(PutInputs(batch, learning_rate));
  RETURN_IF_ERROR(SubmitOrReplay());

  TrainStepResult result = {.optimizer_time = optimizer_time_};
  ScalarsOut out;
  double loss = 0.0;
  RETURN_IF_ERROR(context_.transfer().StartDownload(scalars_out_.view(), &out));
  RETURN_IF_ERROR(context_.transfer().DownloadNumbers(
      parameters_->tail().Slice(0, 0, 1), absl::MakeSpan(&loss, 1)));
  result.loss = loss;
  result.update = optimizer_->Finish(out.sum_of_squares);
  ++steps_;
  return result;
}

absl::Status TrainStep::PutInputs(const TrainBatch& batch,
                                  double learning_rate) {
  const int64_t vocabulary = model_->spec().vocabulary_size;
  ASSIGN_OR_RETURN(input_.ids,
                   UploadTokens(context_, vocabulary, TokenUse::kIds, batch.ids,
                                ids_buffer_));
  ASSIGN_OR_RETURN(targets_,
                   UploadTokens(context_, vocabulary, TokenUse::kTargets,
                                batch.targets, targets_buffer_));
  if (batch.shard != input_.shard) {
    graph_.reset();
    steps_ = 0;
    input_.shard = batch.shard;
    if (!context_.transfer().direct()) {
      ASSIGN_OR_RETURN(positions_,
                       Tensor::Create(context_.backend->memory(), DType::kI64,
                                      batch.shard->tokens()));
      input_.positions = positions_.view();
      RETURN_IF_ERROR(
          UploadPositions(context_, *batch.shard, input_.positions));
    }
  }
  const double mean = 1.0 / static_cast<double>(batch.scored_tokens);
  const ScalarsIn in = {.mean = mean,
                        .step = optimizer_->next_step(),
                        .grad_scale = static_cast<float>(mean),
                        .learning_rate = static_cast<float>(learning_rate)};
  return context_.transfer().Upload(&in, scalars_in_.view());
}

bool TrainStep::can_record() const {
  return context_.stream->can_capture() && context_.gang_ranks() == 1 &&
         input_.shard->piece().document_starts.empty();
}

absl::Status TrainStep::SubmitOrReplay() {
  if (graph_ != nullptr) return graph_->Launch(*context_.stream);
  // The first step prepares what backends prepare once.
  if (steps_ == 0 || !can_record()) return Submit();
  RETURN_IF_ERROR(context_.stream->BeginCapture());
  const absl::Status submitted = Submit();
  absl::StatusOr<std::unique_ptr<kernels::Graph>> graph =
      context_.stream->EndCapture();
  RETURN_IF_ERROR(submitted);
  RETURN_IF_ERROR(graph.status());
  graph_ = *std::move(graph);
  return graph_->Launch(*context_.stream);
}

absl::Status TrainStep::Submit() {
  RETURN_IF_ERROR(parameters_->ZeroGradients());
  RETURN_IF_ERROR(ForwardBackward());

  // Sum over ranks, the loss in the tail of the gradients.
  RETURN_IF_ERROR(SyncGradients(context_, parameters_->gradients_and_tail()));

  // Clip by the global norm and update; every rank does the same.
  const Clock& clock = SystemClock::Get();
  const absl::Duration began = clock.Monotonic();
  RETURN_IF_ERROR(optimizer_->Submit(
      {.learning_rate = ScalarAt(
           scalars_in_, offsetof(ScalarsIn, learning_rate), DType::kF32),
       .step = ScalarAt(scalars_in_, offsetof(ScalarsIn, step), DType::kI64),
       .sum_of_squares = ScalarAt(
           scalars_out_, offsetof(ScalarsOut, sum_of_squares), DType::kF64),
       .clip_factor = ScalarAt(scalars_out_, offsetof(ScalarsOut, clip_factor),
                               DType::kF32)}));
  if (context_.transfer().direct()) {
    optimizer_time_ = clock.Monotonic() - began;
  }
  return absl::OkStatus();
}

absl::Status TrainStep::ForwardBackward() {
  const ArenaScope step(*context_.arena);

  // hidden [M, d] of this rank's M tokens.
  RETURN_IF_ERROR(model_->ForwardKeepingTape(context_, input_, tape_));

  // The mean over all ranks' tokens: this rank's part, and its gradient.
  const TensorView loss =
      ScalarAt(scalars_out_, offsetof(ScalarsOut, loss), DType::kF64);
  RETURN_IF_ERROR(model_->head().LossAndGradient(
      context_, {tape_.hidden, targets_, {}},
      ScalarAt(scalars_in_, offsetof(ScalarsIn, grad_scale), DType::kF32), loss,
      tape_.d_hidden));
  RETURN_IF_ERROR(model_->Backward(context_, input_, tape_).status());
  return context_.backend->elementwise().Scale(
      loss, ScalarAt(scalars_in_, offsetof(ScalarsIn, mean), DType::kF64),
      parameters_->tail().Slice(0, 0, 1), *context_.stream);
}

}  // namespace longspan::worker
