// The wire form of `sequence_parallel` and the plain one
// (common/model_spec/state_exchange_plan.h).
#pragma once

#include "absl/status/statusor.h"
#include "common/model_spec/state_exchange_plan.h"

namespace longspan::v1 {
enum SequenceParallel : int;
}  // namespace longspan::v1

namespace longspan {

// UNSPECIFIED is LASP2. kUnimplemented for a number that this build does not
// know: a newer program's method.
absl::StatusOr<SequenceParallel> SequenceParallelFromProto(
    v1::SequenceParallel from);

}  // namespace longspan
