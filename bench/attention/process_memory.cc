#include "bench/attention/process_memory.h"

#include <cstdlib>
#include <fstream>
#include <string>

namespace longspan::bench {
namespace {

// A line of /proc/self/status, such as "VmHWM:   13548 kB".
double StatusMiB(const std::string& field) {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.rfind(field, 0) != 0) continue;
    return std::strtod(line.c_str() + field.size(), nullptr) / 1024.0;
  }
  return 0.0;
}

}  // namespace

double ResidentMiB() { return StatusMiB("VmRSS:"); }

double TakePeakMiB() {
  const double peak = StatusMiB("VmHWM:");
  std::ofstream("/proc/self/clear_refs") << "5\n";
  return peak;
}

}  // namespace longspan::bench
