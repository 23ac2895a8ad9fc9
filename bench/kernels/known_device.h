// Which ceilings predictions divide by: those of the device that runs, if it
// was ever measured, or what flags say. Never those of another device.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "bench/kernels/predicted_time.h"

namespace longspan::bench {

// By the driver's name of a device ("NVIDIA H200", also as a backend gives it,
// "NVIDIA H200 (compute capability 9.0)") or a short one ("H200"). A slice of
// a device (MIG) and its slower sisters are others.
std::optional<Device> KnownDevice(std::string_view name);

// --device, --bandwidth, --matrix-rate, --peak.
class DeviceFlags {
 public:
  // False: no flag of ours, or a rate that is not positive.
  bool Set(const std::string& flag, const std::string& value);

  // Of a run without a device: --device, or "NVIDIA H200".
  std::string name() const { return name_; }

  // What is known of `name`, with the flags' rates instead where given. Null
  // if the bandwidth or the matrix rate is neither known nor given.
  std::optional<Device> Resolve(std::string_view name) const;

 private:
  std::string name_ = "NVIDIA H200";
  Device given_ = {0.0, 0.0, 0.0};
};

// One line of JSON, before the rows: the name and its ceilings, if any.
void PrintDevice(const std::string& name, const std::optional<Device>& device);

}  // namespace longspan::bench
