#include "bench/kernels/known_device.h"

#include <cstdio>
#include <cstdlib>

namespace longspan::bench {
namespace {

struct Known {
  const char* short_name;
  std::string_view name;
  Device device;
};

// A large copy and a large bf16 product, measured once; the data sheet's rate.
constexpr Known kKnown[] = {
    {"H200", "NVIDIA H200", {4.3e12, 790e12, 989e12}},
    {"H100", "NVIDIA H100 80GB HBM3", {3.0e12, 798e12, 989e12}},
};

}  // namespace

std::optional<Device> KnownDevice(std::string_view name) {
  name = name.substr(0, name.find(" (compute capability"));
  for (const Known& known : kKnown) {
    if (name == known.short_name || name == known.name) return known.device;
  }
  return std::nullopt;
}

bool DeviceFlags::Set(const std::string& flag, const std::string& value) {
  if (flag == "--device") {
    name_ = value;
    return true;
  }
  double* const rate = flag == "--bandwidth"     ? &given_.bytes_per_second
                       : flag == "--matrix-rate" ? &given_.operations_per_second
                       : flag == "--peak" ? &given_.peak_operations_per_second
                                          : nullptr;
  if (rate == nullptr) return false;
  *rate = std::atof(value.c_str());
  return *rate > 0.0;
}

std::optional<Device> DeviceFlags::Resolve(std::string_view name) const {
  Device device = KnownDevice(name).value_or(Device{0.0, 0.0, 0.0});
  for (double Device::*rate :
       {&Device::bytes_per_second, &Device::operations_per_second,
        &Device::peak_operations_per_second}) {
    if (given_.*rate > 0.0) device.*rate = given_.*rate;
  }
  if (device.bytes_per_second == 0.0 || device.operations_per_second == 0.0) {
    return std::nullopt;
  }
  return device;
}

void PrintDevice(const std::string& name, const std::optional<Device>& device) {
  std::printf("{\"device\": \"%s\"", name.c_str());
  if (device.has_value()) {
    std::printf(", \"bytes_per_second\": %.4g, \"operations_per_second\": %.4g",
                device->bytes_per_second, device->operations_per_second);
  }
  std::printf("}\n");
  std::fflush(stdout);
}

}  // namespace longspan::bench
