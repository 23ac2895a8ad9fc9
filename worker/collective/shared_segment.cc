#include "worker/collective/shared_segment.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>
#include <ctime>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace longspan::worker {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kHeaderBytes = kPage;  // the nonce

size_t DoorbellBytes(int size) {
  const size_t bytes = size * sizeof(Doorbell);
  return (bytes + kPage - 1) / kPage * kPage;
}

size_t SegmentBytes(int size) {
  return kHeaderBytes + DoorbellBytes(size) + sizeof(SharedRing) * size * size;
}

absl::Status SystemError(const char* what) {
  return absl::UnavailableError(
      absl::StrCat("shared memory: ", what, ": ", std::strerror(errno)));
}

}  // namespace

absl::StatusOr<std::unique_ptr<SharedSegment>> SharedSegment::Map(int size,
                                                                  UniqueFd fd) {
  struct stat file = {};
  if (fstat(fd.get(), &file) != 0) return SystemError("fstat");
  if (file.st_size != static_cast<off_t>(SegmentBytes(size))) {
    return absl::NotFoundError(absl::StrCat("shared memory: ", file.st_size,
                                            " bytes instead of ",
                                            SegmentBytes(size)));
  }
  void* memory = mmap(nullptr, SegmentBytes(size), PROT_READ | PROT_WRITE,
                      MAP_SHARED, fd.get(), 0);
  if (memory == MAP_FAILED) return SystemError("mmap");
  return std::unique_ptr<SharedSegment>(
      new SharedSegment(size, std::move(fd), static_cast<char*>(memory)));
}

absl::StatusOr<std::unique_ptr<SharedSegment>> SharedSegment::Create(
    int size, const Nonce& nonce) {
  UniqueFd fd(memfd_create("longspan-ranks", MFD_CLOEXEC));
  if (!fd.valid()) return SystemError("memfd_create");
  if (ftruncate(fd.get(), SegmentBytes(size)) != 0) {
    return SystemError("ftruncate");
  }
  ASSIGN_OR_RETURN(auto segment, Map(size, std::move(fd)));
  std::memcpy(segment->memory_, nonce.data(), nonce.size());
  return segment;
}

absl::StatusOr<std::unique_ptr<SharedSegment>> SharedSegment::Open(
    int size, const Nonce& nonce, pid_t pid, int fd) {
  const std::string path = absl::StrCat("/proc/", pid, "/fd/", fd);
  UniqueFd file(open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!file.valid()) return SystemError(path.c_str());
  ASSIGN_OR_RETURN(auto segment, Map(size, std::move(file)));
  if (std::memcmp(segment->memory_, nonce.data(), nonce.size()) != 0) {
    return absl::NotFoundError("shared memory: it is another group's");
  }
  return segment;
}

SharedSegment::~SharedSegment() { munmap(memory_, SegmentBytes(size_)); }

Doorbell* SharedSegment::doorbell(int rank) const {
  return reinterpret_cast<Doorbell*>(memory_ + kHeaderBytes) + rank;
}

SharedRing* SharedSegment::ring(int from, int to) const {
  char* const rings = memory_ + kHeaderBytes + DoorbellBytes(size_);
  return reinterpret_cast<SharedRing*>(rings) + from * size_ + to;
}

void SharedSegment::Ring(int rank) const {
  Doorbell* bell = doorbell(rank);
  if (bell->sleeping.load() == 0) return;
  bell->rings.fetch_add(1);
  syscall(SYS_futex, &bell->rings, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

void SharedSegment::Sleep(int rank, uint32_t seen, int milliseconds) const {
  const struct timespec timeout = {milliseconds / 1000,
                                   (milliseconds % 1000) * 1000000L};
  syscall(SYS_futex, &doorbell(rank)->rings, FUTEX_WAIT, seen, &timeout,
          nullptr, 0);
}

void SharedSegment::Touch(int rank) const {
  for (int peer = 0; peer < size_; ++peer) {
    if (peer == rank) continue;
    for (const SharedRing* ring :
         {this->ring(rank, peer), this->ring(peer, rank)}) {
      const auto* bytes = reinterpret_cast<const volatile char*>(ring);
      for (size_t i = 0; i < sizeof(SharedRing); i += kPage) (void)bytes[i];
    }
  }
}

}  // namespace longspan::worker
