// The wire form of `layout` and the plain one
// (common/model_spec/token_layout.h).
#pragma once

#include <optional>

#include "absl/status/statusor.h"
#include "common/model_spec/token_layout.h"

namespace longspan::v1 {
enum TokenLayout_Layout : int;
}  // namespace longspan::v1

namespace longspan {

// Nothing for AUTO: the planner has not chosen yet. UNSPECIFIED is CONTIGUOUS:
// jobs that were accepted before there were layouts have it. kUnimplemented
// for a number that this build does not know: a newer program's layout.
absl::StatusOr<std::optional<TokenLayout>> LayoutFromProto(
    v1::TokenLayout_Layout from);

// The same for a job that was planned; kInvalidArgument for AUTO.
absl::StatusOr<TokenLayout> PlannedLayout(v1::TokenLayout_Layout from);

v1::TokenLayout_Layout LayoutToProto(TokenLayout layout);

}  // namespace longspan
