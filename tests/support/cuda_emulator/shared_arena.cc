#include "tests/support/cuda_emulator/shared_arena.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "common/base/check.h"
#include "tests/support/cuda_emulator/sanitizer_hooks.h"

namespace longspan::kernels::cuda::emulated {
namespace {

constexpr size_t kAlignment = 128;
constexpr unsigned char kGuard = 0xA5;
constexpr size_t kGuardBytes = 256;  // before the block's bytes

}  // namespace

SharedArena::SharedArena() : under_way_(kMaxBytes / 4 + kAlignment) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t accessible = (kMaxBytes + kGuardBytes + page - 1) / page * page;
  mapping_bytes_ = accessible + 2 * page;
  void* mapping = mmap(nullptr, mapping_bytes_, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  LONGSPAN_CHECK(mapping != MAP_FAILED) << "no memory for shared memory";
  mapping_ = static_cast<unsigned char*>(mapping);
  first_ = mapping_ + page;
  end_ = first_ + accessible;
  LONGSPAN_CHECK(mprotect(mapping_, page, PROT_NONE) == 0);
  LONGSPAN_CHECK(mprotect(end_, page, PROT_NONE) == 0);
  data_ = end_;
}

SharedArena::~SharedArena() {
  Unpoison(first_, static_cast<size_t>(end_ - first_));
  munmap(mapping_, mapping_bytes_);
}

void SharedArena::Resize(int bytes) {
  LONGSPAN_CHECK(bytes >= 0 && bytes <= kMaxBytes) << bytes;
  Unpoison(first_, static_cast<size_t>(end_ - first_));
  bytes_ = static_cast<size_t>(bytes);
  data_ = end_ - (bytes_ + kAlignment - 1) / kAlignment * kAlignment;
  std::fill(data_ - kGuardBytes, data_, kGuard);
  std::fill(data_ + bytes_, end_, kGuard);
  Poison(first_, static_cast<size_t>(data_ - first_));
  Poison(data_ + bytes_, static_cast<size_t>(end_ - data_) - bytes_);
}

void SharedArena::StartBlock(bool trap) {
  trap_ = trap && kAddressSanitizer;
  if (trap_) {
    Unpoison(data_, bytes_);
  }
  std::memset(data_, kPoison, bytes_);
  if (words_under_way_ > 0) {
    std::fill(under_way_.begin(), under_way_.end(), 0);
    words_under_way_ = 0;
  }
}

bool SharedArena::GuardsIntact() const {
  const auto intact = [](unsigned char byte) { return byte == kGuard; };
  return kAddressSanitizer ||
         (std::all_of(data_ - kGuardBytes, data_, intact) &&
          std::all_of(data_ + bytes_, end_, intact));
}

void SharedArena::BeginCopy(void* shared, int bytes) {
  std::memset(shared, kPoison, static_cast<size_t>(bytes));
  std::memset(&under_way_[Word(shared)], 1, static_cast<size_t>(bytes) / 4);
  words_under_way_ += bytes / 4;
  // A copy of 4 bytes shares its 8-byte granule of the sanitizer's map.
  if (trap_ && bytes % 8 == 0) {
    Poison(shared, static_cast<size_t>(bytes));
  }
}

void SharedArena::EndCopy(void* shared, int bytes) {
  std::memset(&under_way_[Word(shared)], 0, static_cast<size_t>(bytes) / 4);
  words_under_way_ -= bytes / 4;
  if (trap_ && bytes % 8 == 0) {
    Unpoison(shared, static_cast<size_t>(bytes));
  }
}

bool SharedArena::UnderWay(const void* shared, int bytes) const {
  if (words_under_way_ == 0) {
    return false;
  }
  const auto first = under_way_.begin() + static_cast<int64_t>(Word(shared));
  return std::any_of(first, first + bytes / 4,
                     [](unsigned char word) { return word != 0; });
}

}  // namespace longspan::kernels::cuda::emulated
