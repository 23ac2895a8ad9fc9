#include "kernels/api/host_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace longspan::kernels {
namespace {

// Above this, huge pages save page faults and address translation.
constexpr int64_t kHugePageBytes = 8 << 20;

absl::Status CopyBytes(const void* from, void* to, int64_t bytes) {
  if (bytes > 0 && from != to) std::memcpy(to, from, bytes);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<void*> HostMemory::Allocate(int64_t bytes) {
  if (bytes == 0) return nullptr;
  void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "cannot reserve ", bytes, " bytes of memory: ", std::strerror(errno)));
  }
  if (bytes >= kHugePageBytes) madvise(data, bytes, MADV_HUGEPAGE);
  const int64_t used = used_ += bytes;
  int64_t high_water = high_water_;
  while (used > high_water &&
         !high_water_.compare_exchange_weak(high_water, used)) {
  }
  return data;
}

void HostMemory::Free(void* data, int64_t bytes) {
  if (data == nullptr) return;
  munmap(data, bytes);
  used_ -= bytes;
}

absl::Status HostMemory::CopyToDevice(const void* host, void* device,
                                      int64_t bytes, Stream&) {
  return CopyBytes(host, device, bytes);
}

absl::Status HostMemory::CopyToHost(const void* device, void* host,
                                    int64_t bytes, Stream&) {
  return CopyBytes(device, host, bytes);
}

absl::Status HostMemory::Copy(const void* from, void* to, int64_t bytes,
                              Stream&) {
  return CopyBytes(from, to, bytes);
}

int64_t HostMemory::total_bytes() const {
  return static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
}

}  // namespace longspan::kernels
