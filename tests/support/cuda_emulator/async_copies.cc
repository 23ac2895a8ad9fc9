#include "tests/support/cuda_emulator/async_copies.h"

#include <cstring>

namespace longspan::kernels::cuda::emulated {
namespace {

void Land(const AsyncCopies::Copy& copy, SharedArena& arena) {
  arena.EndCopy(copy.shared, copy.size);
  auto* target = static_cast<unsigned char*>(copy.shared);
  if (copy.bytes > 0) {
    std::memcpy(target, copy.global, static_cast<size_t>(copy.bytes));
  }
  std::memset(target + copy.bytes, 0,
              static_cast<size_t>(copy.size - copy.bytes));
}

}  // namespace

void AsyncCopies::Issue(const Copy& copy, SharedArena& arena) {
  arena.BeginCopy(copy.shared, copy.size);
  copies_.push_back(copy);
}

void AsyncCopies::Wait(int pending, SharedArena& arena) {
  while (group_ends_.size() - landed_groups_ > static_cast<size_t>(pending)) {
    const size_t end = group_ends_[landed_groups_++];
    for (; landed_copies_ < end; ++landed_copies_) {
      Land(copies_[landed_copies_], arena);
    }
  }
  if (landed_groups_ == group_ends_.size() &&
      landed_copies_ == copies_.size()) {
    Clear();
  }
}

void AsyncCopies::Clear() {
  copies_.clear();
  group_ends_.clear();
  landed_copies_ = 0;
  landed_groups_ = 0;
}

}  // namespace longspan::kernels::cuda::emulated
