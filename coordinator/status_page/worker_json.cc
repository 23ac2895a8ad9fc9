#include "coordinator/status_page/worker_json.h"

#include <string>
#include <utility>

#include "coordinator/ops/wire_time.h"
#include "coordinator/status_page/job_json.h"
#include "nlohmann/json.hpp"

namespace longspan::coordinator {
namespace {

using nlohmann::json;

constexpr size_t kLongestName = 256;

// Slots are those of the devices, in the same order.
json SlotJson(const v1::Device& device, const v1::SlotUse& use) {
  json out = {{"slot", device.slot()},
              {"kind", Clip(device.kind(), kLongestName)},
              {"model", Clip(device.model(), kLongestName)},
              {"memory_bytes", device.memory_bytes()},
              {"threads", device.threads()}};
  const size_t job_end = use.attempt().rfind("/attempts/");
  if (job_end != std::string::npos) {
    out["job"] = use.attempt().substr(0, job_end);
    out["rank"] = use.rank();
  }
  return out;
}

}  // namespace

json WorkerJson(const v1::Worker& worker) {
  const v1::WorkerInfo& info = worker.info();
  json slots = json::array();
  for (int i = 0; i < worker.slots_size(); ++i) {
    slots.push_back(SlotJson(info.devices(i), worker.slots(i)));
  }
  json out = {{"name", worker.name().substr(worker.name().find('/') + 1)},
              {"state", v1::WorkerState_Name(worker.state())},
              {"hostname", Clip(info.hostname(), kLongestName)},
              {"build", Clip(info.build(), kLongestName)},
              {"last_heartbeat", nullptr},
              {"slots", std::move(slots)}};
  if (worker.has_last_heartbeat()) {
    out["last_heartbeat"] = TimeJson(ReadTime(worker.last_heartbeat()));
  }
  return out;
}

}  // namespace longspan::coordinator
