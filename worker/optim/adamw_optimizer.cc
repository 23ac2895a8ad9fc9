#include "worker/optim/adamw_optimizer.h"

#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "kernels/cost/workspace.h"
#include "worker/optim/gradient_clip.h"

namespace longspan::worker {
namespace {

using kernels::DType;
using kernels::TensorView;

TensorView Flat(const TensorView& view) {
  return view.Reshape({view.element_count()});
}

absl::Status CheckParameter(const OptimizedParameter& parameter) {
  const TensorView& value = parameter.value;
  const TensorView* others[] = {&parameter.gradient, &parameter.first_moment,
                                &parameter.second_moment};
  for (const TensorView* other : others) {
    const bool fits = !other->is_null() && other->is_contiguous() &&
                      other->dtype() == value.dtype() &&
                      other->element_count() == value.element_count();
    if (fits && value.is_contiguous()) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "optimizer: parameter ", parameter.name, " is ", value.DebugString(),
        " and has beside it ", other->DebugString(),
        "; value, gradient and moments need the same type and element count, "
        "all contiguous"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<AdamWOptimizer> AdamWOptimizer::Create(
    std::vector<OptimizedParameter> parameters, const AdamWSettings& settings,
    kernels::BackendKind backend, kernels::Optimizer& ops,
    kernels::DeviceMemory& memory, kernels::Stream& stream) {
  int64_t elements = 0;
  for (const OptimizedParameter& parameter : parameters) {
    RETURN_IF_ERROR(CheckParameter(parameter));
    elements += parameter.value.element_count();
  }
  AdamWOptimizer optimizer(std::move(parameters), settings, ops, stream);
  ASSIGN_OR_RETURN(optimizer.workspace_,
                   Tensor::Create(memory, DType::kU8,
                                  kernels::SumOfSquaresWorkspaceBytes(
                                      elements, backend, 1)));
  return optimizer;
}

AdamWOptimizer::AdamWOptimizer(std::vector<OptimizedParameter> parameters,
                               const AdamWSettings& settings,
                               kernels::Optimizer& ops, kernels::Stream& stream)
    : parameters_(std::move(parameters)),
      options_(settings.adamw),
      clip_norm_(settings.clip_norm),
      ops_(&ops),
      stream_(&stream) {
  for (const OptimizedParameter& parameter : parameters_) {
    tensors_.push_back(
        {Flat(parameter.value), Flat(parameter.gradient),
         Flat(parameter.first_moment), Flat(parameter.second_moment),
         parameter.decays ? settings.weight_decay : 0.0,
         parameter.compute.is_null() ? TensorView() : Flat(parameter.compute)});
    gradients_.push_back(Flat(parameter.gradient));
  }
}

absl::Status AdamWOptimizer::Submit(const UpdateScalars& scalars) {
  RETURN_IF_ERROR(ops_->SumOfSquares(gradients_, scalars.sum_of_squares,
                                     workspace_.view(), *stream_));
  RETURN_IF_ERROR(ops_->ClipFactor(scalars.sum_of_squares, clip_norm_,
                                   scalars.clip_factor, *stream_));
  return ops_->AdamW(tensors_,
                     {scalars.learning_rate, scalars.clip_factor, scalars.step},
                     options_, *stream_);
}

UpdateResult AdamWOptimizer::Finish(double sum_of_squares) {
  const ClipDecision decision = DecideClip(sum_of_squares, clip_norm_);
  ++(decision.skip ? skipped_ : updates_);
  return {decision.gradient_norm, decision.clip_factor, decision.skip};
}

void AdamWOptimizer::Restore(int64_t updates, int64_t skipped) {
  updates_ = updates;
  skipped_ = skipped;
}

}  // namespace longspan::worker
