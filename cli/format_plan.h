// A plan as tables: what every rank holds, and what every layer sends. Pure.
#pragma once

#include <string>

#include "longspan/v1/plan.pb.h"

namespace longspan::cli {

std::string FormatPlan(const v1::Plan& plan);

}  // namespace longspan::cli
