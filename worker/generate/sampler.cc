#include "worker/generate/sampler.h"

#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/random.h"
#include "common/base/status_macros.h"

namespace longspan::worker {
namespace {

using kernels::DType;

// Places in `reals_` and `integers_`.
enum Real { kTemperature, kTopP, kUniform, kLogProbability, kReals };
enum Integer { kTopK, kId, kIntegers };

}  // namespace

absl::Status CheckSamplingOptions(const SamplingOptions& options) {
  std::string errors;
  if (!(options.temperature >= 0.0) || std::isinf(options.temperature)) {
    absl::StrAppend(&errors, "temperature ", options.temperature,
                    " must be 0 (greedy) or a positive number; ");
  }
  if (options.top_k < 0) {
    absl::StrAppend(&errors, "top_k ", options.top_k,
                    " must be 0 (all tokens) or positive; ");
  }
  if (!(options.top_p > 0.0 && options.top_p <= 1.0)) {
    absl::StrAppend(&errors, "top_p ", options.top_p,
                    " must be above 0 and at most 1 (all tokens); ");
  }
  if (errors.empty()) return absl::OkStatus();
  errors.resize(errors.size() - 2);
  return absl::InvalidArgumentError(absl::StrCat("sampling: ", errors));
}

absl::StatusOr<Sampler> Sampler::Create(const RankContext& context,
                                        const SamplingOptions& options) {
  kernels::DeviceMemory& memory = context.backend->memory();
  ASSIGN_OR_RETURN(Tensor reals, Tensor::Create(memory, DType::kF64, kReals));
  ASSIGN_OR_RETURN(Tensor integers,
                   Tensor::Create(memory, DType::kI32, kIntegers));
  RETURN_IF_ERROR(context.transfer().Upload(&options.temperature,
                                            reals.View(kTemperature, {1})));
  RETURN_IF_ERROR(
      context.transfer().Upload(&options.top_p, reals.View(kTopP, {1})));
  RETURN_IF_ERROR(
      context.transfer().Upload(&options.top_k, integers.View(kTopK, {1})));
  return Sampler(context, options.seed, std::move(reals), std::move(integers));
}

absl::StatusOr<SampledToken> Sampler::Sample(kernels::ConstTensorView logits,
                                             int64_t position) {
  const double uniform =
      RandomUniform({.seed = seed_, .purpose = RandomPurpose::kSampling},
                    static_cast<uint64_t>(position));
  const Transfer transfer = context_.transfer();
  RETURN_IF_ERROR(transfer.Upload(&uniform, reals_.View(kUniform, {1})));
  RETURN_IF_ERROR(context_.backend->sampling().Sample(
      {.logits = logits,
       .temperature = reals_.View(kTemperature, {1}),
       .top_k = integers_.View(kTopK, {1}),
       .top_p = reals_.View(kTopP, {1}),
       .uniform = reals_.View(kUniform, {1})},
      {.ids = integers_.View(kId, {1}),
       .log_probabilities = reals_.View(kLogProbability, {1})},
      *context_.stream));
  SampledToken token;
  RETURN_IF_ERROR(transfer.StartDownload(reals_.View(kLogProbability, {1}),
                                         &token.log_probability));
  RETURN_IF_ERROR(transfer.Download(integers_.View(kId, {1}), &token.id));
  if (token.id >= 0) return token;
  return absl::InternalError(absl::StrCat("position ", position,
                                          ": the logit of token ",
                                          -1 - token.id, " is not finite"));
}

}  // namespace longspan::worker
