// What the coordinator knows about one worker daemon and its device slots.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/job/job_name.h"

namespace longspan::coordinator {

struct Device {
  int slot = 0;
  std::string kind;  // "cpu", "cuda"
  std::string model;
  int64_t memory_bytes = 0;  // 0: unknown
  int threads = 0;
  std::string uuid;
  std::string instruction_set;
};

// As registered.
struct WorkerDescription {
  std::string build;
  int api_version_min = 0;
  int api_version_max = 0;
  std::string hostname;
  std::vector<Device> devices;
  std::string nccl_version;
  std::vector<std::string> roots;
  std::string metrics_address;
  std::string data_address;
};

// Who computes on a slot, or may still do.
struct SlotUse {
  JobName job;
  int attempt = 0;
  int64_t epoch = 0;
  int rank = 0;

  friend bool operator==(const SlotUse&, const SlotUse&) = default;
};

enum class WorkerState {
  kReady,
  kLost,  // its lease ended; its slots are held until proven free
  kDraining,
};

inline constexpr WorkerState kAllWorkerStates[] = {
    WorkerState::kReady, WorkerState::kLost, WorkerState::kDraining};

const char* WorkerStateName(WorkerState state);  // "READY"

// Durations are readings of Clock::Monotonic().
struct Worker {
  std::string name;
  std::string incarnation;  // empty: not seen since the coordinator started
  WorkerDescription info;
  WorkerState state = WorkerState::kReady;
  // The stream that speaks for it; 0: none.
  int64_t connection = 0;
  absl::Duration lease_end;
  // When lost: until then its executors may be alive.
  absl::Duration held_until;
  absl::Time last_heartbeat = absl::InfinitePast();
  std::map<int, SlotUse> uses;  // by slot

  // Whether a new gang may be placed on its free slots.
  bool Schedulable() const {
    return state == WorkerState::kReady && connection != 0;
  }
};

}  // namespace longspan::coordinator
