#pragma once

#include <cstdint>
#include <map>

#include "common/base/mutex.h"

// The memory of the emulated device: addresses that the process has reserved,
// but that nobody may touch unless a DeviceAccess is open. So host code that
// follows a device pointer dies on the spot, as its data would be garbage on a
// GPU. Blocks are filled with 0xFF (NaN) when they are handed out, and with
// AddressSanitizer they end in poisoned bytes.

namespace longspan::kernels::cuda::emulated {

class DeviceHeap {
 public:
  static constexpr int64_t kBytes = int64_t{8} << 30;

  // The one of this process.
  static DeviceHeap& Get();

  // Aligned to 256 bytes; null when there is no room.
  void* Allocate(int64_t bytes) EXCLUDES(mu_);
  // False for an address that Allocate did not return.
  bool Free(void* data) EXCLUDES(mu_);
  int64_t used_bytes() const EXCLUDES(mu_);

  void Open() EXCLUDES(mu_);
  void Close() EXCLUDES(mu_);

 private:
  DeviceHeap();
  void Protect(int protection) REQUIRES(mu_);
  int64_t FindRoom(int64_t bytes) const REQUIRES(mu_);

  unsigned char* const base_;

  mutable Mutex mu_;
  // Guarded by mu_.
  std::map<int64_t, int64_t> blocks_ GUARDED_BY(mu_);  // offset -> size
  int64_t touched_ GUARDED_BY(mu_) = 0;  // bytes that ever were in a block
  int open_ GUARDED_BY(mu_) = 0;
};

// While one lives, this process may touch device memory: kernels, copies, and
// tests that look inside.
class DeviceAccess {
 public:
  DeviceAccess() { DeviceHeap::Get().Open(); }
  ~DeviceAccess() { DeviceHeap::Get().Close(); }
  DeviceAccess(const DeviceAccess&) = delete;
  DeviceAccess& operator=(const DeviceAccess&) = delete;
};

}  // namespace longspan::kernels::cuda::emulated
