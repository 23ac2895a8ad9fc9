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
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"
#include "kernels/cuda/cuda_devices.h"
#include "worker/collective/nccl_library.h"

namespace longspan::worker {
namespace {

using kernels::cuda::CudaDevice;

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

int ThreadsOf(const InventoryOptions& options, int slots) {
  if (options.threads_per_slot > 0) return options.threads_per_slot;
  return std::max(1, UsableCores() / slots);
}

absl::Status CheckCount(const char* flag, int count) {
  if (count >= 1 && count <= 1024) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(flag, " ", count, "; give a number from 1 to 1024"));
}

v1::WorkerInfo ProbeCpu(const InventoryOptions& options) {
  v1::WorkerInfo info;
  for (int slot = 0; slot < options.slots; ++slot) {
    v1::Device* device = info.add_devices();
    device->set_slot(slot);
    device->set_kind("cpu");
    device->set_model(CpuInfo("model name"));
    device->set_instruction_set(InstructionSet());
    device->set_threads(ThreadsOf(options, options.slots));
    device->set_memory_bytes(options.memory_per_slot > 0
                                 ? options.memory_per_slot
                                 : UsableMemory() / options.slots);
  }
  return info;
}

// Those that jobs can run on, at least one.
absl::StatusOr<std::vector<CudaDevice>> UsableGpus(
    std::vector<std::string>& notes) {
  ASSIGN_OR_RETURN(std::vector<CudaDevice> gpus,
                   kernels::cuda::ListCudaDevices());
  std::vector<std::string> refusals;
  for (const CudaDevice& gpu : gpus) {
    if (!gpu.refusal.empty()) refusals.push_back(gpu.refusal);
  }
  std::erase_if(gpus,
                [](const CudaDevice& gpu) { return !gpu.refusal.empty(); });
  if (gpus.empty()) {
    return absl::UnavailableError(absl::StrJoin(refusals, ". "));
  }
  for (const std::string& refusal : refusals) {
    notes.push_back(absl::StrCat("a GPU is not offered: ", refusal));
  }
  return gpus;
}

absl::StatusOr<v1::WorkerInfo> ProbeCuda(const InventoryOptions& options,
                                         std::vector<std::string>& notes) {
  ASSIGN_OR_RETURN(const std::vector<CudaDevice> found, UsableGpus(notes));
  const int slots = static_cast<int>(found.size()) * options.slots_per_device;
  v1::WorkerInfo info;
  for (int slot = 0; slot < slots; ++slot) {
    const CudaDevice& gpu = found[slot / options.slots_per_device];
    v1::Device* device = info.add_devices();
    device->set_slot(slot);
    device->set_kind("cuda");
    device->set_model(gpu.model);
    device->set_uuid(gpu.uuid);
    device->set_instruction_set(gpu.compute_capability);
    device->set_threads(ThreadsOf(options, slots));
    device->set_memory_bytes(
        options.memory_per_slot > 0
            ? options.memory_per_slot
            : kernels::cuda::PlannableBytes(gpu.memory_bytes,
                                            options.slots_per_device));
  }
  const auto nccl = OpenNccl();
  if (nccl.ok()) {
    info.set_nccl_version(NcclVersionText(nccl->version));
  } else {
    notes.push_back(absl::StrCat("the GPUs take jobs of one rank only: ",
                                 std::string(nccl.status().message())));
  }
  return info;
}

}  // namespace

absl::StatusOr<v1::WorkerInfo> ProbeDevices(const InventoryOptions& options,
                                            std::vector<std::string>* notes) {
  RETURN_IF_ERROR(CheckCount("--slots", options.slots));
  RETURN_IF_ERROR(CheckCount("--slots-per-device", options.slots_per_device));
  if (options.devices == "cpu") return ProbeCpu(options);
  if (options.devices != "cuda" && options.devices != "auto") {
    return absl::InvalidArgumentError(absl::StrCat(
        "--devices '", options.devices, "'; one of cpu, cuda, auto"));
  }
  std::vector<std::string> unread;
  if (notes == nullptr) notes = &unread;
  auto info = ProbeCuda(options, *notes);
  if (options.devices != "auto" || !absl::IsUnavailable(info.status())) {
    return info;
  }
  notes->push_back(absl::StrCat(
      "--devices auto offers the CPU, because no GPU can be used: ",
      std::string(info.status().message())));
  return ProbeCpu(options);
}

absl::StatusOr<v1::WorkerInfo> ProbeDevicesInChild(
    const std::string& program, const InventoryOptions& options,
    LogFormat log_format) {
  if (program.find('\'') != std::string::npos ||
      options.devices.find('\'') != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot run ", program, ": a quote in its path or in --devices"));
  }
  const std::string command = absl::StrCat(
      "'", program, "' --probe-devices --devices '", options.devices,
      "' --slots-per-device ", options.slots_per_device, " --slots ",
      options.slots, " --threads-per-slot ", options.threads_per_slot,
      " --memory-per-slot ", options.memory_per_slot,
      log_format == LogFormat::kJson ? " --log-format json" : "");
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
