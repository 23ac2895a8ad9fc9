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

constexpr int64_t kAlignment = 64;

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

TensorView AlignedWorkspace(std::vector<char>& memory) {
  const auto address = reinterpret_cast<uintptr_t>(memory.data());
  const uintptr_t gap = (kAlignment - address % kAlignment) % kAlignment;
  return TensorView(memory.data() + gap, DType::kU8,
                    {static_cast<int64_t>(memory.size()) - kAlignment});
}

}  // namespace

absl::StatusOr<AdamWOptimizer> AdamWOptimizer::Create(
    std::vector<OptimizedParameter> parameters, const AdamWSettings& settings,
    kernels::BackendKind backend, kernels::Optimizer& ops,
    kernels::Stream& stream) {
  for (const OptimizedParameter& parameter : parameters) {
    RETURN_IF_ERROR(CheckParameter(parameter));
  }
  return AdamWOptimizer(std::move(parameters), settings, backend, ops, stream);
}

AdamWOptimizer::AdamWOptimizer(std::vector<OptimizedParameter> parameters,
                               const AdamWSettings& settings,
                               kernels::BackendKind backend,
                               kernels::Optimizer& ops, kernels::Stream& stream)
    : parameters_(std::move(parameters)),
      options_(settings.adamw),
      clip_norm_(settings.clip_norm),
      ops_(&ops),
      stream_(&stream) {
  int64_t elements = 0;
  for (const OptimizedParameter& parameter : parameters_) {
    tensors_.push_back({Flat(parameter.value), Flat(parameter.gradient),
                        Flat(parameter.first_moment),
                        Flat(parameter.second_moment),
                        parameter.decays ? settings.weight_decay : 0.0});
    gradients_.push_back(Flat(parameter.gradient));
    elements += parameter.value.element_count();
  }
  workspace_.resize(kernels::SumOfSquaresWorkspaceBytes(elements, backend, 1) +
                    kAlignment);
}

absl::StatusOr<double> AdamWOptimizer::GradientSumOfSquares() {
  double sum = 0.0;
  RETURN_IF_ERROR(ops_->SumOfSquares(gradients_,
                                     TensorView(&sum, DType::kF64, {1}),
                                     AlignedWorkspace(workspace_), *stream_));
  RETURN_IF_ERROR(stream_->Synchronize());
  return sum;
}

absl::StatusOr<UpdateResult> AdamWOptimizer::Update(double learning_rate,
                                                    double sum_of_squares) {
  const ClipDecision decision = DecideClip(sum_of_squares, clip_norm_);
  const UpdateResult result = {decision.gradient_norm, decision.clip_factor,
                               decision.skip};
  if (decision.skip) {
    ++skipped_;
    return result;
  }
  auto rate = static_cast<float>(learning_rate);
  auto clip = static_cast<float>(decision.clip_factor);
  int64_t step = updates_ + 1;
  const kernels::AdamWScalars scalars = {TensorView(&rate, DType::kF32, {1}),
                                         TensorView(&clip, DType::kF32, {1}),
                                         TensorView(&step, DType::kI64, {1})};
  RETURN_IF_ERROR(ops_->AdamW(tensors_, scalars, options_, *stream_));
  RETURN_IF_ERROR(stream_->Synchronize());
  updates_ = step;
  return result;
}

void AdamWOptimizer::Restore(int64_t updates, int64_t skipped) {
  updates_ = updates;
  skipped_ = skipped;
}

}  // namespace longspan::worker
