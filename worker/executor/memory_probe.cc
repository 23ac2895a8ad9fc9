#include "worker/executor/memory_probe.h"

#include <malloc.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>

namespace longspan::worker {
namespace {

// A line such as "VmHWM:      5120 kB" of /proc/self/status, in bytes.
int64_t ReadStatusBytes(const std::string& name) {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.rfind(name + ":", 0) != 0) continue;
    return std::stoll(line.substr(name.size() + 1)) * 1024;
  }
  return 0;
}

void ClearPeak() {
  std::ofstream refs("/proc/self/clear_refs");
  refs << "5";  // reset VmHWM; refused by some sandboxes, then it stays
}

}  // namespace

void MemoryProbe::Restart() {
  ClearPeak();
  before_ = ReadStatusBytes("VmRSS");
}

void MemoryProbe::Watch(const kernels::DeviceMemory* memory) {
  const bool host = memory == nullptr || memory->host_accessible();
  device_ = host ? nullptr : memory;
}

int64_t MemoryProbe::used() const {
  if (device_ != nullptr) return device_.load()->used_bytes();
  return std::max<int64_t>(0, ReadStatusBytes("VmRSS") - before_);
}

int64_t MemoryProbe::peak() const {
  if (device_ != nullptr) return device_.load()->high_water_bytes();
  return std::max<int64_t>(0, ReadStatusBytes("VmHWM") - before_);
}

void KeepHeapCompact() {
  constexpr int kLargeBlock = 128 << 10;
  mallopt(M_MMAP_THRESHOLD, kLargeBlock);
  mallopt(M_TRIM_THRESHOLD, kLargeBlock);
  mallopt(M_ARENA_MAX, 2);
}

}  // namespace longspan::worker
