#include "tests/support/attention/host_tensor.h"

#include <sys/mman.h>

#include <cmath>
#include <cstring>
#include <new>

#include "common/base/check.h"
#include "kernels/api/bfloat16.h"

namespace longspan::kernels {
namespace {

// Large tensors lie in huge pages, as in the worker's arenas.
constexpr size_t kHugePageBytes = size_t{2} << 20;

std::align_val_t Alignment(size_t bytes) {
  return std::align_val_t{bytes >= kHugePageBytes ? kHugePageBytes : 64};
}

// Calls fn(element) for every element of type T in row-major order.
template <typename T, typename View, typename Fn>
void ForEach(const View& view, int dim, T* data, const Fn& fn) {
  if (dim == view.rank()) return fn(*data);
  const int64_t stride = view.stride(dim);
  const int64_t size = view.size(dim);
  if (dim + 1 == view.rank()) {
    for (int64_t i = 0; i < size; ++i) fn(data[i * stride]);
    return;
  }
  for (int64_t i = 0; i < size; ++i) {
    ForEach(view, dim + 1, data + i * stride, fn);
  }
}

// SplitMix64.
uint64_t Next(uint64_t& state) {
  state += 0x9e3779b97f4a7c15;
  uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace

void AlignedDelete::operator()(std::byte* p) const {
  ::operator delete[](p, alignment);
}

HostTensor::HostTensor(DType dtype, std::initializer_list<int64_t> shape) {
  const TensorView sizes(nullptr, dtype, shape);
  const size_t bytes = sizes.byte_count() + 64;
  const std::align_val_t alignment = Alignment(bytes);
  data_ = {static_cast<std::byte*>(::operator new[](bytes, alignment)),
           AlignedDelete{alignment}};
  if (bytes >= kHugePageBytes) madvise(data_.get(), bytes, MADV_HUGEPAGE);
  std::memset(data_.get(), 0xff, bytes);  // a NaN in f32 and f64
  view_ = TensorView(data_.get(), dtype, shape);
}

HostTensor HostTensor::Workspace(int64_t bytes) {
  return bytes == 0 ? HostTensor() : HostTensor(DType::kU8, {bytes});
}

std::vector<double> HostTensor::ToDoubles() const {
  return kernels::ToDoubles(view_);
}

std::vector<double> ToDoubles(const ConstTensorView& view) {
  if (view.is_null()) return {};
  std::vector<double> values(view.element_count());
  double* to = values.data();
  if (view.dtype() == DType::kF64) {
    ForEach(view, 0, view.data_as<double>(), [&](double x) { *to++ = x; });
  } else if (view.dtype() == DType::kBF16) {
    ForEach(view, 0, view.data_as<BFloat16>(),
            [&](BFloat16 x) { *to++ = ToFloat(x); });
  } else {
    ForEach(view, 0, view.data_as<float>(), [&](float x) { *to++ = x; });
  }
  return values;
}

void FromDoubles(const std::vector<double>& values, const TensorView& view) {
  LONGSPAN_CHECK_EQ(static_cast<int64_t>(values.size()), view.element_count());
  const double* from = values.data();
  if (view.dtype() == DType::kF64) {
    ForEach(view, 0, view.data_as<double>(), [&](double& x) { x = *from++; });
  } else if (view.dtype() == DType::kBF16) {
    ForEach(view, 0, view.data_as<BFloat16>(),
            [&](BFloat16& x) { x = ToBFloat16(static_cast<float>(*from++)); });
  } else {
    ForEach(view, 0, view.data_as<float>(),
            [&](float& x) { x = static_cast<float>(*from++); });
  }
}

void FillUniform(uint64_t seed, double low, double high,
                 const TensorView& view) {
  uint64_t state = seed * 0x2545f4914f6cdd1d + 1;
  std::vector<double> values(view.element_count());
  for (double& value : values) {
    value = low + (high - low) * (Next(state) >> 11) * 0x1p-53;
  }
  FromDoubles(values, view);
}

double Rms(const std::vector<double>& values) {
  double sum = 0.0;
  for (double value : values) sum += value * value;
  return values.empty() ? 0.0 : std::sqrt(sum / values.size());
}

std::vector<double> Difference(const std::vector<double>& a,
                               const std::vector<double>& b) {
  LONGSPAN_CHECK_EQ(a.size(), b.size());
  std::vector<double> difference(a.size());
  for (size_t i = 0; i < a.size(); ++i) difference[i] = a[i] - b[i];
  return difference;
}

double RelativeRms(const std::vector<double>& actual,
                   const std::vector<double>& expected) {
  const double error = Rms(Difference(actual, expected));
  const double size = Rms(expected);
  return size == 0.0 ? error : error / size;
}

double Dot(const std::vector<double>& a, const std::vector<double>& b) {
  LONGSPAN_CHECK_EQ(a.size(), b.size());
  double sum = 0.0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace longspan::kernels
