#include "tests/support/fake_nccl/fake_segment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>

namespace longspan::fake_nccl {
namespace {

struct IdContent {
  char magic[8];
  int pid;
  int fd;
  uint64_t nonce;
};
static_assert(sizeof(IdContent) <= sizeof(worker::NcclUniqueId));
constexpr char kMagic[8] = {'f', 'a', 'k', 'e', 'n', 'c', 'c', 'l'};

Segment* Map(int fd) {
  void* memory =
      mmap(nullptr, sizeof(Segment), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<Segment*>(memory);
}

// Ended processes are zombies until their parents notice.
bool HasEnded(int pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/stat";
  FILE* file = fopen(path.c_str(), "re");
  if (file == nullptr) return true;
  char state = 'Z';
  const int fields = fscanf(file, "%*d (%*[^)]) %c", &state);
  fclose(file);
  return fields != 1 || state == 'Z' || state == 'X';
}

}  // namespace

int64_t Ring::Write(const char* from, int64_t bytes) {
  const uint64_t begin = written.load();
  const int64_t room = kRingBytes - static_cast<int64_t>(begin - read.load());
  const int64_t count = std::min(bytes, room);
  for (int64_t done = 0; done < count;) {
    const int64_t at = static_cast<int64_t>((begin + done) % kRingBytes);
    const int64_t run = std::min(count - done, kRingBytes - at);
    std::memcpy(data + at, from + done, run);
    done += run;
  }
  written.store(begin + count);
  return count;
}

int64_t Ring::Read(char* to, int64_t bytes) {
  const uint64_t begin = read.load();
  const int64_t there = static_cast<int64_t>(written.load() - begin);
  const int64_t count = std::min(bytes, there);
  for (int64_t done = 0; done < count;) {
    const int64_t at = static_cast<int64_t>((begin + done) % kRingBytes);
    const int64_t run = std::min(count - done, kRingBytes - at);
    std::memcpy(to + done, data + at, run);
    done += run;
  }
  read.store(begin + count);
  return count;
}

bool Segment::AllJoined(int ranks) const {
  for (int r = 0; r < ranks; ++r) {
    if (states[r].load() == kAbsent) return false;
  }
  return true;
}

bool Segment::IsGone(int rank) const {
  if (states[rank].load() == kGone) return true;
  return states[rank].load() == kJoined && HasEnded(pids[rank].load());
}

bool MakeId(worker::NcclUniqueId* id) {
  // Held open until the process ends: ranks may join at any time.
  const int fd = memfd_create("longspan-fake-nccl", MFD_CLOEXEC);
  if (fd < 0 || ftruncate(fd, sizeof(Segment)) != 0) return false;
  Segment* segment = Map(fd);
  if (segment == nullptr) return false;
  std::random_device random;
  IdContent content = {};
  std::memcpy(content.magic, kMagic, sizeof(kMagic));
  content.pid = getpid();
  content.fd = fd;
  content.nonce = (uint64_t{random()} << 32) | random();
  segment->nonce.store(content.nonce);
  munmap(segment, sizeof(Segment));
  std::memset(id->bytes, 0, sizeof(id->bytes));
  std::memcpy(id->bytes, &content, sizeof(content));
  return true;
}

std::shared_ptr<Segment> OpenSegment(const worker::NcclUniqueId& id) {
  IdContent content;
  std::memcpy(&content, id.bytes, sizeof(content));
  if (std::memcmp(content.magic, kMagic, sizeof(kMagic)) != 0) return nullptr;
  const std::string path = "/proc/" + std::to_string(content.pid) + "/fd/" +
                           std::to_string(content.fd);
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return nullptr;
  Segment* segment = Map(fd);
  close(fd);
  if (segment == nullptr) return nullptr;
  std::shared_ptr<Segment> owner(
      segment, [](Segment* mapped) { munmap(mapped, sizeof(Segment)); });
  return segment->nonce.load() == content.nonce ? owner : nullptr;
}

}  // namespace longspan::fake_nccl
