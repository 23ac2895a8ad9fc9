// What a kernel must cost, before anything runs: the bytes that it cannot
// avoid, the bytes and operations of our design, and the milliseconds that
// follow for a device.
//
//     floor      every input read once, every output written once
//     predicted  max(design bytes / bandwidth, operations / reachable rate)
//                plus 4 us for each launch
//
// Reachable is what mma.sync gets of the matrix rate: 0.60 in the linear
// kernels, 0.45 in softmax attention, 0.85 in cuBLASLt. docs/gpu.md has the
// figures; a measurement that misses one asks for a reason.
#pragma once

#include <cstdint>
#include <string>

namespace longspan::bench {

// Ceilings as measured once on a device: a large copy, a large product.
struct Device {
  double bytes_per_second = 4.3e12;  // H200
  double operations_per_second = 790e12;
  // Of the data sheet, dense bf16: what MFU divides by. 0: unknown.
  double peak_operations_per_second = 989e12;
};

struct Cost {
  double floor_bytes = 0.0;
  double design_bytes = 0.0;
  double operations = 0.0;
  double reachable = 0.60;  // of the matrix rate
  int launches = 1;
};

double FloorMs(const Cost& cost, const Device& device);
double PredictedMs(const Cost& cost, const Device& device);

struct AttentionSize {
  int64_t batch = 1;
  int64_t tokens = 0;
  int64_t heads = 0;
  int64_t dim = 128;  // of keys and values
  int64_t element_bytes = 2;

  std::string name() const;  // "B1_T32768_H16_D128"
};

Cost LinearForwardCost(const AttentionSize& size, bool gated);
Cost LinearBackwardCost(const AttentionSize& size, bool gated);
Cost SoftmaxForwardCost(const AttentionSize& size);
Cost SoftmaxBackwardCost(const AttentionSize& size);
Cost MatMulCost(int64_t m, int64_t n, int64_t k, int64_t element_bytes);
Cost StreamingCost(double bytes);
Cost operator+(const Cost& a, const Cost& b);  // one after the other

}  // namespace longspan::bench
