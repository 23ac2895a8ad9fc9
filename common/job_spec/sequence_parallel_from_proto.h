// The wire forms of `sequence_parallel`, `softmax_sequence_parallel` and what
// goes with them, and the plain ones (common/model_spec/state_exchange_plan.h,
// kv_exchange_plan.h).
#pragma once

#include "absl/status/statusor.h"
#include "common/model_spec/kv_exchange_plan.h"
#include "common/model_spec/state_exchange_plan.h"

namespace longspan::v1 {
enum SequenceParallel : int;
enum SoftmaxSequenceParallel_Method : int;
class TrainSpec;
}  // namespace longspan::v1

namespace longspan {

// UNSPECIFIED is LASP2. kUnimplemented for a number that this build does not
// know: a newer program's method.
absl::StatusOr<SequenceParallel> SequenceParallelFromProto(
    v1::SequenceParallel from);

// The same; UNSPECIFIED is GATHER.
absl::StatusOr<SoftmaxParallel> SoftmaxParallelFromProto(
    v1::SoftmaxSequenceParallel_Method from);

// state_exchange_precision and state_exchange_splits of a valid spec.
GatherSettings GatherSettingsFromProto(const v1::TrainSpec& train);

}  // namespace longspan
