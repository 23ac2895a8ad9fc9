// The methods that a simulation knows, by name: how linear layers exchange, and
// how softmax layers do under the same name.
//
//   name          linear layers                          softmax layers
//   lasp2, lasp1, common/model_spec/state_exchange_plan  any of
//   lasp1_serial, all_scan, scan                         kv_exchange_plan
//   ulysses       common/model_spec/head_exchange_plan   any of them
//   ring          common/model_spec/row_exchange_plan:   K and V from rank to
//                 k and v from rank to rank, each rank   rank (Ring Attention)
//                 adds their k^T v (right product)
//   ring_left     common/model_spec/left_ring_plan: the  the same
//                 same rows, (q k^T) v, quadratic: the
//                 LASP-2 paper's baseline
//   megatron_sp   common/model_spec/head_slices          the same
//
// Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/model_spec/kv_exchange_plan.h"
#include "common/model_spec/model_spec.h"
#include "common/model_spec/state_exchange_plan.h"

namespace longspan {

enum class ExchangeMethod {
  kLasp2,
  kLasp1,
  kLasp1Serial,
  kAllScan,
  kScan,
  kRing,
  kRingLeft,
  kUlysses,
  kMegatronSp
};

// All of them, in the order of the enum.
const std::vector<ExchangeMethod>& AllExchangeMethods();

std::string_view ExchangeMethodName(ExchangeMethod method);  // "all_scan"

// kInvalidArgument with the nearest name for one that is not known.
absl::StatusOr<ExchangeMethod> ExchangeMethodOfName(const std::string& name);

inline bool IsRing(ExchangeMethod method) {
  return method == ExchangeMethod::kRing || method == ExchangeMethod::kRingLeft;
}

// How softmax layers exchange beside the method; `asked` where it leaves that
// open.
SoftmaxParallel SoftmaxOf(ExchangeMethod method, SoftmaxParallel asked);

// The planner's method.
SequenceParallel PlannedMethod(ExchangeMethod method);

// The same, but only where states travel.
std::optional<SequenceParallel> StateMethod(ExchangeMethod method);

// Whether a layer exists in that form; else a sentence with the value, the
// limit and what to take instead:
//
//   ulysses, megatron_sp: kInvalidArgument for more ranks than heads, or heads
//   that stay together
//   ring_left: kUnimplemented for what CheckLeftProduct refuses
absl::Status CheckMethod(ExchangeMethod method, const ModelSpec& model,
                         int64_t ranks);

}  // namespace longspan
