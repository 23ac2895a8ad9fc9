#include "coordinator/cluster/worker_table.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace longspan::coordinator {
namespace {

constexpr size_t kMaxDevices = 1024;

absl::Status CheckDevices(const Registration& registration) {
  const std::vector<Device>& devices = registration.info.devices;
  if (devices.empty() || devices.size() > kMaxDevices) {
    return absl::InvalidArgumentError(absl::StrCat(
        "worker ", registration.name, " registers ", devices.size(),
        " devices: 1 to ", kMaxDevices, " are possible"));
  }
  std::set<int> slots;
  for (const Device& device : devices) {
    if (device.slot < 0 || !slots.insert(device.slot).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("worker ", registration.name, " registers slot ",
                       device.slot, " twice, or it is negative"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

const Worker* WorkerTable::Find(const std::string& name) const {
  auto found = workers_.find(name);
  return found == workers_.end() ? nullptr : &found->second;
}

void WorkerTable::Expect(const std::string& name, int slot, const SlotUse& use,
                         absl::Duration now) {
  Worker& worker = workers_[name];
  worker.name = name;
  worker.lease_end = now + options_.lease;
  worker.uses[slot] = use;
}

absl::Status WorkerTable::CheckRegistration(const Registration& registration,
                                            absl::Duration now) const {
  if (!IsResourceId(registration.name)) {
    return absl::InvalidArgumentError(
        absl::StrCat("worker name '", registration.name.substr(0, 100),
                     "': use 1 to 63 of a-z, 0-9 and '-'"));
  }
  if (registration.incarnation.empty()) {
    return absl::InvalidArgumentError("a registration needs an incarnation");
  }
  RETURN_IF_ERROR(CheckDevices(registration));
  const Worker* known = Find(registration.name);
  if (known == nullptr || known->connection == 0 ||
      known->incarnation == registration.incarnation ||
      known->lease_end <= now) {
    return absl::OkStatus();
  }
  return absl::AlreadyExistsError(absl::StrCat(
      "another daemon is connected as worker ", registration.name, " (host ",
      known->info.hostname, "): give this one another --name"));
}

void WorkerTable::Register(const Registration& registration, absl::Duration now,
                           absl::Time wall) {
  Worker& worker = workers_[registration.name];
  worker.name = registration.name;
  worker.incarnation = registration.incarnation;
  worker.info = registration.info;
  worker.state = WorkerState::kReady;
  worker.connection = registration.connection;
  worker.lease_end = now + options_.lease;
  worker.last_heartbeat = wall;
}

bool WorkerTable::Renew(const std::string& name, int64_t connection,
                        absl::Duration now, absl::Time wall) {
  auto found = workers_.find(name);
  if (found == workers_.end() || found->second.connection != connection) {
    return false;
  }
  Worker& worker = found->second;
  // A lost worker comes back by registering, which settles its executors.
  if (worker.state == WorkerState::kLost) return false;
  worker.lease_end = now + options_.lease;
  worker.last_heartbeat = wall;
  return true;
}

void WorkerTable::Drain(const std::string& name) {
  auto found = workers_.find(name);
  if (found != workers_.end()) found->second.state = WorkerState::kDraining;
}

void WorkerTable::Disconnect(const std::string& name, int64_t connection) {
  auto found = workers_.find(name);
  if (found == workers_.end() || found->second.connection != connection) return;
  found->second.connection = 0;
  if (found->second.state == WorkerState::kDraining &&
      found->second.uses.empty()) {
    workers_.erase(found);
  }
}

ExpiredLeases WorkerTable::Sweep(absl::Duration now) {
  ExpiredLeases expired;
  for (auto it = workers_.begin(); it != workers_.end();) {
    Worker& worker = it->second;
    if (worker.state != WorkerState::kLost && worker.lease_end <= now) {
      worker.state = WorkerState::kLost;
      worker.connection = 0;
      worker.held_until = now + options_.detached_timeout;
      expired.lost.push_back(it->first);
    }
    if (worker.state == WorkerState::kLost && worker.held_until <= now) {
      expired.forgotten.push_back(it->first);
      it = workers_.erase(it);
    } else {
      ++it;
    }
  }
  return expired;
}

void WorkerTable::Use(const std::string& name, int slot, const SlotUse& use) {
  auto found = workers_.find(name);
  LONGSPAN_CHECK(found != workers_.end()) << name;
  const bool fresh = found->second.uses.insert({slot, use}).second;
  LONGSPAN_CHECK(fresh) << "slot " << slot << " of " << name << " is in use";
}

void WorkerTable::Release(const std::string& name, int slot,
                          const SlotUse& use) {
  auto found = workers_.find(name);
  if (found == workers_.end()) return;
  auto held = found->second.uses.find(slot);
  if (held != found->second.uses.end() && held->second == use) {
    found->second.uses.erase(held);
  }
}

}  // namespace longspan::coordinator
