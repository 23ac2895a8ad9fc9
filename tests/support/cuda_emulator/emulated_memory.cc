#include "tests/support/cuda_emulator/emulated_memory.h"

#include <sys/mman.h>

#include <cstring>

#include "common/base/check.h"

#if defined(LONGSPAN_EMULATOR_ASAN)
#include <sanitizer/asan_interface.h>
#define LONGSPAN_POISON(data, bytes) __asan_poison_memory_region(data, bytes)
#define LONGSPAN_UNPOISON(data, bytes) \
  __asan_unpoison_memory_region(data, bytes)
#else
#define LONGSPAN_POISON(data, bytes) static_cast<void>(0)
#define LONGSPAN_UNPOISON(data, bytes) static_cast<void>(0)
#endif

namespace longspan::kernels::cuda::emulated {
namespace {

constexpr int64_t kAlignment = 256;
constexpr int64_t kGuardBytes = 256;
constexpr int64_t kPageBytes = 4096;

int64_t RoundUp(int64_t value, int64_t to) {
  return (value + to - 1) / to * to;
}

unsigned char* Reserve() {
  void* const base =
      mmap(nullptr, DeviceHeap::kBytes, PROT_NONE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, /*fd=*/-1, 0);
  LONGSPAN_CHECK(base != MAP_FAILED) << "no addresses for emulated memory";
  return static_cast<unsigned char*>(base);
}

}  // namespace

DeviceHeap& DeviceHeap::Get() {
  static DeviceHeap* const heap = new DeviceHeap();
  return *heap;
}

DeviceHeap::DeviceHeap() : base_(Reserve()) {}

// The first gap that is large enough, guard included.
int64_t DeviceHeap::FindRoom(int64_t bytes) const {
  int64_t end = 0;
  for (const auto& [offset, size] : blocks_) {
    if (offset - end >= bytes) break;
    end = offset + size;
  }
  return end + bytes <= kBytes ? end : -1;
}

void* DeviceHeap::Allocate(int64_t bytes) {
  const int64_t size = RoundUp(bytes, kAlignment) + kGuardBytes;
  unsigned char* data = nullptr;
  {
    MutexLock lock(mu_);
    const int64_t offset = size > kBytes ? -1 : FindRoom(size);
    if (offset < 0) return nullptr;
    blocks_[offset] = size;
    const int64_t end = RoundUp(offset + size, kPageBytes);
    if (end > touched_) {
      touched_ = end;
      if (open_ > 0) Protect(PROT_READ | PROT_WRITE);
    }
    data = base_ + offset;
  }
  DeviceAccess access;
  LONGSPAN_UNPOISON(data, static_cast<size_t>(size));
  std::memset(data, 0xFF, static_cast<size_t>(size));
  LONGSPAN_POISON(data + bytes, static_cast<size_t>(size - bytes));
  return data;
}

bool DeviceHeap::Free(void* data) {
  MutexLock lock(mu_);
  const auto block = blocks_.find(static_cast<unsigned char*>(data) - base_);
  if (block == blocks_.end()) return false;
  LONGSPAN_POISON(data, static_cast<size_t>(block->second));
  blocks_.erase(block);
  return true;
}

int64_t DeviceHeap::used_bytes() const {
  MutexLock lock(mu_);
  int64_t bytes = 0;
  for (const auto& [offset, size] : blocks_) bytes += size;
  return bytes;
}

void DeviceHeap::Open() {
  MutexLock lock(mu_);
  if (open_++ == 0) Protect(PROT_READ | PROT_WRITE);
}

void DeviceHeap::Close() {
  MutexLock lock(mu_);
  if (--open_ == 0) Protect(PROT_NONE);
}

void DeviceHeap::Protect(int protection) {
  if (touched_ == 0) return;
  LONGSPAN_CHECK(mprotect(base_, static_cast<size_t>(touched_), protection) ==
                 0)
      << "mprotect of emulated memory";
}

}  // namespace longspan::kernels::cuda::emulated
