#include "common/simulate/exchange_method.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/check.h"
#include "common/base/edit_distance.h"
#include "common/base/status_macros.h"
#include "common/model_spec/head_exchange_plan.h"
#include "common/model_spec/left_ring_plan.h"
#include "common/model_spec/linear_layer_form.h"

namespace longspan {
namespace {

constexpr std::pair<ExchangeMethod, const char*> kNames[] = {
    {ExchangeMethod::kLasp2, "lasp2"},
    {ExchangeMethod::kLasp1, "lasp1"},
    {ExchangeMethod::kLasp1Serial, "lasp1_serial"},
    {ExchangeMethod::kAllScan, "all_scan"},
    {ExchangeMethod::kScan, "scan"},
    {ExchangeMethod::kRing, "ring"},
    {ExchangeMethod::kRingLeft, "ring_left"},
    {ExchangeMethod::kUlysses, "ulysses"},
    {ExchangeMethod::kMegatronSp, "megatron_sp"}};

}  // namespace

const std::vector<ExchangeMethod>& AllExchangeMethods() {
  static const auto* methods = [] {
    auto* all = new std::vector<ExchangeMethod>;
    for (const auto& [method, name] : kNames) all->push_back(method);
    return all;
  }();
  return *methods;
}

std::string_view ExchangeMethodName(ExchangeMethod method) {
  return kNames[static_cast<size_t>(method)].second;
}

absl::StatusOr<ExchangeMethod> ExchangeMethodOfName(const std::string& name) {
  std::vector<std::string> names;
  for (const auto& [method, known] : kNames) {
    if (name == known) return method;
    names.push_back(known);
  }
  const std::optional<std::string> closest = ClosestName(name, names);
  return absl::InvalidArgumentError(absl::StrCat(
      "method '", name, "' is not known",
      closest ? absl::StrCat("; did you mean '", *closest, "'?") : "",
      "; there are ", absl::StrJoin(names, ", ")));
}

SequenceParallel PlannedMethod(ExchangeMethod method) {
  switch (method) {
    case ExchangeMethod::kLasp2:
      return SequenceParallel::kLasp2;
    case ExchangeMethod::kLasp1:
      return SequenceParallel::kLasp1;
    case ExchangeMethod::kLasp1Serial:
      return SequenceParallel::kLasp1Serial;
    case ExchangeMethod::kAllScan:
      return SequenceParallel::kAllScan;
    case ExchangeMethod::kScan:
      return SequenceParallel::kScan;
    case ExchangeMethod::kUlysses:
      return SequenceParallel::kUlysses;
    case ExchangeMethod::kRing:
      return SequenceParallel::kRing;
    case ExchangeMethod::kRingLeft:
      return SequenceParallel::kRingLeft;
    case ExchangeMethod::kMegatronSp:
      return SequenceParallel::kMegatronSp;
  }
  LONGSPAN_CHECK(false) << "method " << static_cast<int>(method);
  return SequenceParallel::kLasp2;
}

SoftmaxParallel SoftmaxOf(ExchangeMethod method, SoftmaxParallel asked) {
  if (method == ExchangeMethod::kMegatronSp) {
    return SoftmaxParallel::kMegatronSp;
  }
  return IsRing(method) ? SoftmaxParallel::kRing : asked;
}

std::optional<SequenceParallel> StateMethod(ExchangeMethod method) {
  const SequenceParallel planned = PlannedMethod(method);
  if (SharesHeads(planned) || IsRing(method)) return std::nullopt;
  return planned;
}

absl::Status CheckMethod(ExchangeMethod method, const ModelSpec& model,
                         int64_t ranks) {
  if (method == ExchangeMethod::kMegatronSp) {
    RETURN_IF_ERROR(CheckHeadCut(model, SoftmaxParallel::kMegatronSp,
                                 static_cast<int>(ranks)));
  }
  if (method == ExchangeMethod::kRingLeft &&
      HasLayer(model, LayerKind::kLinear)) {
    return CheckLeftProduct(FormOf(model.linear),
                            LinearMixerName(model.linear.mixer));
  }
  return CheckHeadCut(model, PlannedMethod(method), static_cast<int>(ranks));
}

}  // namespace longspan
