#include "kernels/cuda/cuda_memory.h"

#include <algorithm>
#include <string>

#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "kernels/cuda/cuda_stream.h"
#include "kernels/cuda/runtime.h"

namespace longspan::kernels::cuda {
namespace {

constexpr int64_t kSmallGranule = 256;
constexpr int64_t kLargeGranule = int64_t{2} << 20;  // of cudaMalloc

int64_t Rounded(int64_t bytes) {
  const int64_t granule = bytes < kLargeGranule ? kSmallGranule : kLargeGranule;
  return (bytes + granule - 1) / granule * granule;
}

}  // namespace

CudaMemory::~CudaMemory() {
  MutexLock lock(mu_);
  if (UseDevice(device_).ok()) ReleasePool();
}

absl::StatusOr<void*> CudaMemory::Allocate(int64_t bytes) {
  LONGSPAN_CHECK(bytes >= 0) << bytes << " bytes";
  if (bytes == 0) return nullptr;
  RETURN_IF_ERROR(UseDevice(device_));
  void* data = nullptr;
  {
    MutexLock lock(mu_);
    ASSIGN_OR_RETURN(data, Take(Rounded(bytes)));
    used_bytes_ += bytes;
    high_water_bytes_ = std::max(high_water_bytes_, used_bytes_);
  }
  const absl::Status zeroed = FillBytes(data, 0, bytes, /*stream=*/nullptr);
  if (!zeroed.ok()) {
    Free(data, bytes);
    return zeroed;
  }
  return data;
}

absl::StatusOr<void*> CudaMemory::Take(int64_t rounded) {
  const auto kept = pool_.find(rounded);
  if (kept != pool_.end()) {
    void* const data = kept->second;
    pool_.erase(kept);
    return data;
  }
  absl::StatusOr<void*> data = AllocateBytes(rounded);
  if (data.ok() || pool_.empty()) return data;
  ReleasePool();
  return AllocateBytes(rounded);
}

void CudaMemory::Free(void* data, int64_t bytes) {
  if (data == nullptr) return;
  MutexLock lock(mu_);
  used_bytes_ -= bytes;
  LONGSPAN_CHECK(used_bytes_ >= 0) << bytes << " bytes freed, but not held";
  pool_.emplace(Rounded(bytes), data);
}

void CudaMemory::ReleasePool() {
  for (const auto& [rounded, data] : pool_) FreeBytes(data).IgnoreError();
  pool_.clear();
}

absl::Status CudaMemory::CopyToDevice(const void* host, void* device,
                                      int64_t bytes, Stream& stream) {
  if (bytes == 0) return absl::OkStatus();
  return CopyBytesToDevice(host, device, bytes,
                           CudaStream::Of(stream).native_handle());
}

absl::Status CudaMemory::CopyToHost(const void* device, void* host,
                                    int64_t bytes, Stream& stream) {
  if (bytes == 0) return absl::OkStatus();
  return CopyBytesToHost(device, host, bytes,
                         CudaStream::Of(stream).native_handle());
}

absl::Status CudaMemory::Copy(const void* from, void* to, int64_t bytes,
                              Stream& stream) {
  if (bytes == 0) return absl::OkStatus();
  return CopyBytesOnDevice(from, to, bytes,
                           CudaStream::Of(stream).native_handle());
}

int64_t CudaMemory::used_bytes() const {
  MutexLock lock(mu_);
  return used_bytes_;
}

int64_t CudaMemory::high_water_bytes() const {
  MutexLock lock(mu_);
  return high_water_bytes_;
}

int64_t CudaMemory::pooled_bytes() const {
  MutexLock lock(mu_);
  int64_t bytes = 0;
  for (const auto& [rounded, data] : pool_) bytes += rounded;
  return bytes;
}

}  // namespace longspan::kernels::cuda
