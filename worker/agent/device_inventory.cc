#include "worker/agent/device_inventory.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"

namespace longspan::worker {
namespace {

// The value of the first "name : value" line of /proc/cpuinfo.
std::string CpuInfo(const std::string& name) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(':');
    if (line.compare(0, name.size(), name) != 0 || colon == std::string::npos) {
      continue;
    }
    return std::string(absl::StripAsciiWhitespace(line.substr(colon + 1)));
  }
  return "";
}

// The widest vector extension that kernels distinguish; results may differ
// in the last bit between them.
std::string InstructionSet() {
  std::istringstream words(CpuInfo("flags"));
  std::set<std::string> flags;
  for (std::string word; words >> word;) flags.insert(word);
  for (const char* name : {"avx512f", "avx2", "avx", "sse4_2"}) {
    if (flags.count(name) > 0) return name;
  }
  return "generic";
}

int UsableCores() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  if (sched_getaffinity(0, sizeof(cores), &cores) != 0) return 1;
  return std::max(1, CPU_COUNT(&cores));
}

int64_t UsableMemory() {
  const int64_t physical =
      static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGE_SIZE);
  std::ifstream file("/sys/fs/cgroup/memory.max");
  int64_t limit = 0;
  if (file >> limit && limit > 0) return std::min(physical, limit);
  return physical;
}

}  // namespace

absl::StatusOr<v1::WorkerInfo> ProbeDevices(const InventoryOptions& options) {
  if (options.slots < 1 || options.slots > 1024) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--slots ", options.slots, "; give a number from 1 to 1024"));
  }
  v1::WorkerInfo info;
  for (int slot = 0; slot < options.slots; ++slot) {
    v1::Device* device = info.add_devices();
    device->set_slot(slot);
    device->set_kind("cpu");
    device->set_model(CpuInfo("model name"));
    device->set_instruction_set(InstructionSet());
    device->set_threads(options.threads_per_slot > 0
                            ? options.threads_per_slot
                            : std::max(1, UsableCores() / options.slots));
    device->set_memory_bytes(options.memory_per_slot > 0
                                 ? options.memory_per_slot
                                 : UsableMemory() / options.slots);
  }
  return info;
}

absl::StatusOr<v1::WorkerInfo> ProbeDevicesInChild(
    const std::string& program, const InventoryOptions& options) {
  if (program.find('\'') != std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot run ", program, ": a quote in its path"));
  }
  const std::string command =
      absl::StrCat("'", program, "' --probe-devices --slots ", options.slots,
                   " --threads-per-slot ", options.threads_per_slot,
                   " --memory-per-slot ", options.memory_per_slot);
  FILE* pipe = popen(command.c_str(), "re");
  if (pipe == nullptr) {
    return absl::UnavailableError(
        absl::StrCat("cannot probe devices: ", std::strerror(errno)));
  }
  std::string output;
  char buffer[4096];
  while (const size_t n = fread(buffer, 1, sizeof(buffer), pipe)) {
    output.append(buffer, n);
  }
  const int status = pclose(pipe);
  v1::WorkerInfo info;
  if (status != 0 || !info.ParseFromString(output) || info.devices().empty()) {
    return absl::UnavailableError(absl::StrCat(
        "the probe of devices failed (wait status ", status, "): ", command));
  }
  return info;
}

}  // namespace longspan::worker
