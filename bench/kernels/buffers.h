// Device memory of a bench: filled with random numbers, in several sets that
// calls go round, so that no set is still in cache when its turn comes.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "kernels/api/backend.h"

namespace longspan::bench {

// The largest L2 we know is 60 MB.
inline constexpr int64_t kCacheBytes = int64_t{256} << 20;

// A backend and one stream of it. Everything here ends the program on errors:
// a bench has nobody to report to.
class BenchDevice {
 public:
  BenchDevice(std::unique_ptr<kernels::Backend> backend, int threads);
  ~BenchDevice();

  kernels::Backend& backend() { return *backend_; }
  kernels::Stream& stream() { return *stream_; }
  // What the device still has, or plenty where it does not say.
  int64_t FreeBytes() const;

  // Uniform in [low, high); the same 4 Mi numbers over and over.
  kernels::TensorView Random(kernels::DType dtype,
                             std::initializer_list<int64_t> shape, double low,
                             double high);
  kernels::TensorView Zero(kernels::DType dtype,
                           std::initializer_list<int64_t> shape);
  // Frees everything that the two above made.
  void Clear();

 private:
  kernels::TensorView Pattern(kernels::DType dtype, double low, double high);
  kernels::TensorView MakePattern(kernels::DType dtype, double low,
                                  double high);
  kernels::TensorView Allocate(kernels::DType dtype,
                               std::initializer_list<int64_t> shape);

  struct Block {
    void* data;
    int64_t bytes;
  };
  std::unique_ptr<kernels::Backend> backend_;
  std::unique_ptr<kernels::Stream> stream_;
  std::vector<Block> blocks_;
  // Made once: drawing one takes longer than most cases.
  std::map<std::tuple<kernels::DType, double, double>, kernels::TensorView>
      patterns_;
};

// How many sets of `bytes` each leave the cache between uses.
int RotatingSets(int64_t bytes);

}  // namespace longspan::bench
