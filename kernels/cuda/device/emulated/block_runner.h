#pragma once

#include <cstdint>

#include "kernels/cuda/device/emulated/source_site.h"

// What the emulated form of the primitives asks of whoever runs the threads
// of a block: tests/support/cuda_emulator. No released binary links one.
//
// The calls below are made by the thread that `current_thread` describes, and
// return when that thread may go on. "Collective of the warp" means: all 32
// threads of the warp must make the same call; it completes when the last one
// arrives. A violation ends the launch with a failure that names the site.

namespace longspan::kernels::cuda::emulated {

class BlockRunner;

// One thread of a running block.
struct ThreadContext {
  int thread = 0;         // in its block
  int lane = 0;           // thread % 32
  int warp = 0;           // thread / 32
  int block_threads = 0;  // of the launch
  int64_t block = 0;
  int64_t blocks = 0;
  unsigned char* shared = nullptr;
  BlockRunner* runner = nullptr;
};

// The thread that runs on this thread of the operating system; null outside
// kernels.
extern constinit thread_local ThreadContext* current_thread;

class BlockRunner {
 public:
  virtual ~BlockRunner() = default;

  // Barrier 0, all threads of the block.
  virtual void SyncBlock(SourceSite site) = 0;
  // Barrier `id` (1 to 15) of `threads` threads, whole warps.
  virtual void SyncNamed(int id, int threads, SourceSite site) = 0;

  // Collectives of the warp.
  virtual void SyncWarp(SourceSite site) = 0;
  // The value that lane `source` (0 to 31) handed in.
  virtual uint64_t Shuffle(uint64_t value, int source, SourceSite site) = 0;
  // The butterfly over lane distances 16, 8, 4, 2, 1.
  virtual float WarpSum(float value, SourceSite site) = 0;
  virtual float WarpMax(float value, SourceSite site) = 0;
  // Bit l is set when lane l handed in true.
  virtual uint32_t Ballot(bool value, SourceSite site) = 0;
  // ldmatrix.m8n8.x<count>.b16, count 2 or 4.
  virtual void LoadMatrix(uint32_t* registers, int count, bool transposed,
                          const void* shared_row, SourceSite site) = 0;
  // mma.m16n8k16.row.col.f32.bf16.bf16.f32: d[4] += a[4] b[2].
  virtual void MmaBf16(float* d, const uint32_t* a, const uint32_t* b,
                       SourceSite site) = 0;

  // cp.async of `bytes` bytes and size - bytes zeros; size 4 or 16.
  virtual void CopyAsync(void* shared, const void* global, int size, int bytes,
                         SourceSite site) = 0;
  virtual void CopyAsyncCommit(SourceSite site) = 0;
  // Returns when at most `pending` of this thread's newest groups have not
  // landed.
  virtual void CopyAsyncWait(int pending, SourceSite site) = 0;

  // Ends the launch.
  [[noreturn]] virtual void Fail(const char* message, SourceSite site) = 0;
};

// Ends the launch when a device pointer is not a multiple of `alignment`,
// which is a fault on the device.
inline void CheckAligned(const void* pointer, uintptr_t alignment,
                         SourceSite site) {
  if (reinterpret_cast<uintptr_t>(pointer) % alignment != 0) {
    current_thread->runner->Fail("misaligned address", site);
  }
}

}  // namespace longspan::kernels::cuda::emulated
