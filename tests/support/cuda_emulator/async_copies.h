#pragma once

#include <cstddef>
#include <vector>

#include "kernels/cuda/device/emulated/source_site.h"
#include "tests/support/cuda_emulator/shared_arena.h"

// The asynchronous copies of one thread: in groups, oldest first. A copy lands
// when a wait allows no longer that it is under way.

namespace longspan::kernels::cuda::emulated {

class AsyncCopies {
 public:
  struct Copy {
    void* shared;
    const void* global;
    int size;   // bytes of shared memory
    int bytes;  // the first ones, from global memory; the rest are zeros
    SourceSite site;
  };

  void Issue(const Copy& copy, SharedArena& arena);
  // Closes the group of the copies issued since the last call.
  void Commit() { group_ends_.push_back(copies_.size()); }
  // Lands the oldest groups, until `pending` are left.
  void Wait(int pending, SharedArena& arena);
  // Forgets everything: the block has ended.
  void Clear();

 private:
  std::vector<Copy> copies_;
  std::vector<size_t> group_ends_;
  size_t landed_copies_ = 0;
  size_t landed_groups_ = 0;
};

}  // namespace longspan::kernels::cuda::emulated
