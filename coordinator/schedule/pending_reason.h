// Why a job waits, as a sentence with the numbers.
#pragma once

#include <string>

#include "coordinator/job/job.h"
#include "coordinator/schedule/gang_placement.h"

namespace longspan::coordinator {

// It could never start on the workers that are registered.
std::string ExplainImpossible(const JobDemand& demand, const Workers& workers);

// Its slots exist, but are in use or held.
std::string ExplainBusy(const JobDemand& demand, const Workers& workers);

// It may not overtake `head`, which waits for slots of the same kind.
std::string ExplainBlocked(const Job& head);

}  // namespace longspan::coordinator
