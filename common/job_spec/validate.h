// What is wrong with a spec as a whole: ranges, missing fields, impossible
// shapes, fields that contradict each other. All mistakes in one pass.
#pragma once

#include <vector>

#include "common/job_spec/violation.h"

namespace longspan::v1 {
class JobSpec;
class ModelSource;
}  // namespace longspan::v1

namespace longspan {

// Of a spec with defaults resolved. Empty when the spec can be planned. What
// depends on the cluster (slots, roots, memory) is the planner's to say.
std::vector<SpecViolation> ValidateSpec(const v1::JobSpec& spec);

}  // namespace longspan
