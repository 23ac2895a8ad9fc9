// Workers as the status page shows them: docs/formats/status.md. Pure.
#pragma once

#include "longspan/v1/cluster.pb.h"
#include "nlohmann/json_fwd.hpp"

namespace longspan::coordinator {

nlohmann::json WorkerJson(const v1::Worker& worker);

}  // namespace longspan::coordinator
