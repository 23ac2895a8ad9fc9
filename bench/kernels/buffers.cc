#include "bench/kernels/buffers.h"

#include <algorithm>
#include <limits>
#include <random>

#include "common/base/check.h"
#include "kernels/api/bfloat16.h"

namespace longspan::bench {
namespace {

using kernels::DType;
using kernels::TensorView;

constexpr int64_t kPatternElements = int64_t{4} << 20;
constexpr int64_t kMaxSets = 64;

}  // namespace

BenchDevice::BenchDevice(std::unique_ptr<kernels::Backend> backend, int threads)
    : backend_(std::move(backend)) {
  auto stream = backend_->CreateStream(threads);
  LONGSPAN_CHECK_OK(stream.status());
  stream_ = *std::move(stream);
}

BenchDevice::~BenchDevice() {
  Clear();
  for (const auto& [key, view] : patterns_) {
    backend_->memory().Free(view.data(), view.byte_count());
  }
}

int64_t BenchDevice::FreeBytes() const {
  const kernels::DeviceMemory& memory = backend_->memory();
  if (memory.total_bytes() == 0) return std::numeric_limits<int64_t>::max();
  return memory.total_bytes() - memory.used_bytes();
}

TensorView BenchDevice::Zero(DType dtype,
                             std::initializer_list<int64_t> shape) {
  const TensorView view = Allocate(dtype, shape);
  blocks_.push_back({view.data(), view.byte_count()});
  return view;
}

TensorView BenchDevice::Allocate(DType dtype,
                                 std::initializer_list<int64_t> shape) {
  int64_t bytes = kernels::BytesPerElement(dtype);
  for (int64_t size : shape) bytes *= size;
  auto data = backend_->memory().Allocate(bytes);
  LONGSPAN_CHECK_OK(data.status());
  return TensorView(*data, dtype, shape);
}

TensorView BenchDevice::Pattern(DType dtype, double low, double high) {
  TensorView& known = patterns_[{dtype, low, high}];
  if (known.is_null()) known = MakePattern(dtype, low, high);
  return known;
}

TensorView BenchDevice::MakePattern(DType dtype, double low, double high) {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(low, high);
  std::vector<float> values(kPatternElements);
  for (float& value : values) value = uniform(random);
  const TensorView view = Allocate(dtype, {kPatternElements});
  std::vector<kernels::BFloat16> narrow;
  const void* host = values.data();
  if (dtype == DType::kBF16) {
    for (float value : values) narrow.push_back(kernels::ToBFloat16(value));
    host = narrow.data();
  }
  LONGSPAN_CHECK_OK(backend_->memory().CopyToDevice(
      host, view.data(), view.byte_count(), *stream_));
  return view;
}

TensorView BenchDevice::Random(DType dtype,
                               std::initializer_list<int64_t> shape, double low,
                               double high) {
  const TensorView result = Zero(dtype, shape);
  const TensorView pattern = Pattern(dtype, low, high);
  const TensorView flat = result.Reshape({result.element_count()});
  for (int64_t at = 0; at < flat.size(0); at += kPatternElements) {
    const int64_t count = std::min(kPatternElements, flat.size(0) - at);
    LONGSPAN_CHECK_OK(backend_->elementwise().Copy(
        pattern.Slice(0, 0, count), flat.Slice(0, at, at + count), *stream_));
  }
  LONGSPAN_CHECK_OK(stream_->Synchronize());
  return result;
}

void BenchDevice::Clear() {
  LONGSPAN_CHECK_OK(stream_->Synchronize());
  for (const Block& block : blocks_) {
    backend_->memory().Free(block.data, block.bytes);
  }
  blocks_.clear();
}

int RotatingSets(int64_t bytes) {
  return static_cast<int>(std::clamp<int64_t>(
      kCacheBytes / std::max<int64_t>(bytes, 1) + 1, 1, kMaxSets));
}

}  // namespace longspan::bench
