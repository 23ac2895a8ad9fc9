// One line on a terminal that says how far a job is. Pure.
#pragma once

#include <string>

#include "longspan/v1/job.pb.h"

namespace longspan::cli {

// At most `width` characters: "running  [####....]  42%  310 steps ...".
std::string ProgressBar(v1::JobState state, const v1::Progress& progress,
                        int width);

}  // namespace longspan::cli
