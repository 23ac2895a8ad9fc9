// Tensors for tests and benches: owned memory, random or poisoned contents,
// comparison.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <new>
#include <vector>

#include "kernels/api/tensor_view.h"

namespace longspan::kernels {

struct AlignedDelete {
  void operator()(std::byte* p) const;
  std::align_val_t alignment{64};
};

// 64-byte aligned memory of one contiguous tensor, filled with NaN (or 0xff
// bytes): an op that reads what nobody wrote shows.
class HostTensor {
 public:
  HostTensor() = default;
  HostTensor(DType dtype, std::initializer_list<int64_t> shape);

  static HostTensor Workspace(int64_t bytes);

  const TensorView& view() const { return view_; }
  // The first `count` elements as doubles.
  std::vector<double> ToDoubles() const;

 private:
  std::unique_ptr<std::byte[], AlignedDelete> data_;
  TensorView view_;
};

// Elements of any strided view in row-major order.
std::vector<double> ToDoubles(const ConstTensorView& view);
void FromDoubles(const std::vector<double>& values, const TensorView& view);

// Uniform in [low, high), the same for the same seed.
void FillUniform(uint64_t seed, double low, double high,
                 const TensorView& view);

// sqrt(mean x^2)
double Rms(const std::vector<double>& values);
// RMS of the difference over RMS of the expected values; NaN if any is NaN.
double RelativeRms(const std::vector<double>& actual,
                   const std::vector<double>& expected);
std::vector<double> Difference(const std::vector<double>& a,
                               const std::vector<double>& b);
double Dot(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace longspan::kernels
