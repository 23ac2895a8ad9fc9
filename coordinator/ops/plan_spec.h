// From a job's spec to its plan: fills in what only the coordinator knows (the
// models of other jobs, the devices of the cluster) and calls the pure planner.
#pragma once

#include <string>
#include <vector>

#include "coordinator/job/job.h"
#include "coordinator/ops/core.h"
#include "coordinator/ops/errors.h"
#include "coordinator/plan/job_plan.h"
#include "longspan/v1/job.pb.h"
#include "longspan/v1/plan.pb.h"

namespace longspan::coordinator {

JobKind KindOf(const v1::JobSpec& spec);

// Names what the spec leaves to the coordinator: the checkpoint directory of a
// train job, and the directory of a model that is given as a job. Returns what
// is wrong with those.
std::vector<FieldViolation> ResolveSources(Core& core,
                                           const std::string& job_id,
                                           v1::JobSpec* spec) REQUIRES(core.mu);

struct SpecPlan {
  v1::Plan plan;
  JobDemand demand;
  v1::TokenLayout::Layout layout = v1::TokenLayout::CONTIGUOUS;  // chosen
  std::vector<FieldViolation> violations;  // empty: the job can run
};

// Plans a resolved, valid spec.
SpecPlan PlanSpec(Core& core, const v1::JobSpec& spec) REQUIRES(core.mu);

// What PlanJob must know to plan a job that was accepted. Who only shows the
// plan calls PlanJob without the lock.
PlanRequest PlanRequestOf(Core& core, const Job& job) REQUIRES(core.mu);

struct AssignmentPlan {
  v1::Plan plan;
  std::string model_uri;
  std::string checkpoint_uri;
};

// For a job that was accepted.
AssignmentPlan PlanAssignment(Core& core, const Job& job) REQUIRES(core.mu);

}  // namespace longspan::coordinator
