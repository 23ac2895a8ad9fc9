#include "tests/gpu/nccl_check/exchange.h"

#include <cmath>
#include <cstring>
#include <utility>

#include "common/base/status_macros.h"
#include "worker/tensor/transfer.h"

namespace longspan {
namespace {

using kernels::DType;
using kernels::TensorView;

// SplitMix64.
uint64_t Next(uint64_t* state) {
  uint64_t z = *state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

// Both signs, from 2^-8 to 2^8.
double Number(uint64_t bits) {
  const double fraction = 1.0 + static_cast<double>(bits >> 12) * 0x1p-52;
  const int exponent = static_cast<int>(bits & 15) - 8;
  return std::ldexp((bits & 16) != 0 ? -fraction : fraction, exponent);
}

template <typename T>
void Store(T value, int64_t index, std::vector<char>* to) {
  std::memcpy(to->data() + index * static_cast<int64_t>(sizeof(T)), &value,
              sizeof(T));
}

}  // namespace

void Exchange::Restart(uint64_t seed) {
  random_ = seed * 1000003 + static_cast<uint64_t>(rank());
  tensors_.clear();
  kept_.clear();
}

std::vector<char> Exchange::RandomOnHost(DType dtype, int64_t count) {
  std::vector<char> host(count * kernels::BytesPerElement(dtype));
  for (int64_t i = 0; i < count; ++i) {
    const uint64_t bits = Next(&random_);
    if (dtype == DType::kF32) {
      Store(static_cast<float>(Number(bits)), i, &host);
    } else if (dtype == DType::kF64) {
      Store(Number(bits), i, &host);
    } else {
      Store(static_cast<int64_t>(bits), i, &host);
    }
  }
  return host;
}

absl::StatusOr<TensorView> Exchange::Upload(const std::vector<char>& host,
                                            DType dtype, int64_t count) {
  ASSIGN_OR_RETURN(worker::Tensor made,
                   worker::Tensor::Create(backend_->memory(), dtype, count));
  tensors_.push_back(std::move(made));
  const TensorView view = tensors_.back().view();
  if (count == 0) return view;
  const worker::Transfer transfer(&backend_->memory(), stream_);
  RETURN_IF_ERROR(transfer.Upload(host.data(), view));
  return view;
}

absl::StatusOr<TensorView> Exchange::Random(DType dtype, int64_t count) {
  return Upload(RandomOnHost(dtype, count), dtype, count);
}

absl::StatusOr<TensorView> Exchange::Poisoned(DType dtype, int64_t count) {
  return Upload(
      std::vector<char>(count * kernels::BytesPerElement(dtype), '\xff'), dtype,
      count);
}

absl::Status Exchange::Finish(std::unique_ptr<worker::Work> work) {
  RETURN_IF_ERROR(work->Wait());
  return stream_->Synchronize();
}

absl::Status Exchange::Keep(kernels::ConstTensorView result) {
  if (result.element_count() == 0) return absl::OkStatus();
  std::string bytes(result.byte_count(), '\0');
  const worker::Transfer transfer(&backend_->memory(), stream_);
  RETURN_IF_ERROR(transfer.Download(result, bytes.data()));
  kept_ += bytes;
  return absl::OkStatus();
}

void Exchange::KeepOnHost(const void* data, int64_t bytes) {
  kept_.append(static_cast<const char*>(data), bytes);
}

}  // namespace longspan
