// Scalars of job files: a node's text to a value of the field's type. Errors
// are messages for the author ("expects a whole number, not '12x'").
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "common/job_spec/field_rules.h"
#include "common/job_spec/spec_node.h"

namespace longspan {

absl::StatusOr<bool> ParseBoolNode(const SpecNode& node);
absl::StatusOr<int64_t> ParseIntNode(const SpecNode& node, FieldUnit unit);
absl::StatusOr<uint64_t> ParseUintNode(const SpecNode& node);
absl::StatusOr<double> ParseDoubleNode(const SpecNode& node);
absl::StatusOr<std::string> ParseStringNode(const SpecNode& node);

}  // namespace longspan
