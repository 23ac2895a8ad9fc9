#include "coordinator/schedule/constraints.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace longspan::coordinator {

bool HasDeviceKind(const JobDemand& demand, const Worker&,
                   const Device& device) {
  return device.kind == demand.backend;
}

bool HasThreads(const JobDemand& demand, const Worker&, const Device& device) {
  return device.kind != "cpu" || demand.threads <= device.threads;
}

bool HasMemory(const JobDemand& demand, const Worker&, const Device& device) {
  return device.memory_bytes == 0 || demand.memory_bytes <= device.memory_bytes;
}

bool HasRoots(const JobDemand& demand, const Worker& worker, const Device&) {
  const std::vector<std::string>& roots = worker.info.roots;
  return std::all_of(
      demand.roots.begin(), demand.roots.end(), [&](const std::string& root) {
        return std::find(roots.begin(), roots.end(), root) != roots.end();
      });
}

bool HasNccl(const JobDemand& demand, const Worker& worker, const Device&) {
  return demand.backend != "cuda" || demand.ranks == 1 ||
         !worker.info.nccl_version.empty();
}

const std::vector<Constraint>& Constraints() {
  static const auto* const constraints = new std::vector<Constraint>{
      {"device kind", "is of the wanted kind", HasDeviceKind},
      {"threads", "offers the wanted threads", HasThreads},
      {"memory", "has the memory that a rank needs", HasMemory},
      {"roots", "is on a worker with the data roots that the job names",
       HasRoots},
      {"NCCL", "is on a worker with NCCL, which several GPUs need", HasNccl},
  };
  return *constraints;
}

const Constraint* FirstViolated(const JobDemand& demand, const Worker& worker,
                                const Device& device) {
  for (const Constraint& constraint : Constraints()) {
    if (!constraint.holds(demand, worker, device)) return &constraint;
  }
  return nullptr;
}

std::string GangKey(const JobDemand& demand, const Worker& worker,
                    const Device& device) {
  return absl::StrCat(worker.info.build, "|", device.instruction_set, "|",
                      demand.backend == "cuda" ? worker.info.nccl_version : "");
}

}  // namespace longspan::coordinator
