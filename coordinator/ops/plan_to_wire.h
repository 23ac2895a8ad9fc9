// A plan in its wire form.
#pragma once

#include "coordinator/plan/job_plan.h"
#include "longspan/v1/plan.pb.h"

namespace longspan::coordinator {

v1::Plan PlanToWire(const JobPlan& plan);

}  // namespace longspan::coordinator
