// What this node offers: its device slots.
//
// The daemon never touches a device. It runs itself with --probe-devices; the
// child looks, writes a WorkerInfo to its output and ends.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "longspan/v1/cluster.pb.h"

namespace longspan::worker {

struct InventoryOptions {
  int slots = 1;
  int threads_per_slot = 0;     // 0: the cores, divided among the slots
  int64_t memory_per_slot = 0;  // 0: the memory, divided among the slots
};

// The CPU slots of this machine: model, instruction set, cores and memory
// (within the limits of the control group). Devices only.
absl::StatusOr<v1::WorkerInfo> ProbeDevices(const InventoryOptions& options);

// Runs `program --probe-devices` with these options and reads its answer.
absl::StatusOr<v1::WorkerInfo> ProbeDevicesInChild(
    const std::string& program, const InventoryOptions& options);

}  // namespace longspan::worker
