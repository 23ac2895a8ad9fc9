// What this node offers: its device slots.
//
// The daemon never touches a device. It runs itself with --probe-devices; the
// child looks, writes a WorkerInfo to its output and ends.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/log/log.h"
#include "longspan/v1/cluster.pb.h"

namespace longspan::worker {

struct InventoryOptions {
  // "cpu"; "cuda"; or "auto": the GPUs if there are any, else the CPU.
  std::string devices = "cpu";
  // Ranks that share a GPU: 1, or more for tests (executor_environment.h).
  int slots_per_device = 1;
  int slots = 1;             // of the CPU
  int threads_per_slot = 0;  // 0: the cores, divided among the slots
  // 0: the memory, divided among the slots; of GPUs less what a process needs
  // beside its tensors (kernels/cuda/cuda_devices.h).
  int64_t memory_per_slot = 0;
};

// The slots of this machine. CPU: model, instruction set, cores and memory
// (within the limits of the control group). GPUs: model, UUID, compute
// capability, memory, and the version of NCCL. kUnavailable, with the reason,
// if only GPUs are wanted and there are none. `notes`, if given, gets what an
// operator may miss, in sentences: why "auto" offers no GPU, which GPUs are
// left out because this build has no code for them, why there is no NCCL.
absl::StatusOr<v1::WorkerInfo> ProbeDevices(
    const InventoryOptions& options, std::vector<std::string>* notes = nullptr);

// Runs `program --probe-devices` with these options and reads its answer. The
// program logs its notes, in this format, to the standard error of this one.
absl::StatusOr<v1::WorkerInfo> ProbeDevicesInChild(
    const std::string& program, const InventoryOptions& options,
    LogFormat log_format = LogFormat::kText);

}  // namespace longspan::worker
