#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "kernels/cuda/device/emulated/block_runner.h"
#include "tests/support/cuda_emulator/async_copies.h"
#include "tests/support/cuda_emulator/emulator.h"
#include "tests/support/cuda_emulator/fiber.h"
#include "tests/support/cuda_emulator/random_order.h"
#include "tests/support/cuda_emulator/shared_arena.h"
#include "tests/support/cuda_emulator/warp_semantics.h"

// Runs the blocks of launches, one after another, on the calling thread.
//
// A fiber runs a thread of the block until it has to wait; then it picks the
// thread that goes on and jumps to its fiber. A thread that never waits needs
// no jump: when it ends, its fiber starts the next one. So the order of
// threads is: the lanes of one warp in a random rotation, forwards or
// backwards, until none of them can go on, then a random other warp.

namespace longspan::kernels::cuda::emulated {

struct BlockLaunch {
  int64_t blocks = 0;
  int threads = 0;
  int shared_bytes = 0;
  int64_t left_out = -1;  // a block that does not run
  const std::function<void()>* thread_body = nullptr;
};

class BlockScheduler final : public BlockRunner {
 public:
  BlockScheduler();
  ~BlockScheduler() override;

  // Runs a launch; what went wrong, or empty.
  std::string Run(const BlockLaunch& launch, const EmulatorOptions& options,
                  uint64_t seed);
  // Of the last launch.
  const LaunchStatistics& statistics() const { return statistics_; }
  const std::set<PrimitiveSite>& sites() const { return sites_; }

  void SyncBlock(SourceSite site) override;
  void SyncNamed(int id, int threads, SourceSite site) override;
  void SyncWarp(SourceSite site) override;
  uint64_t Shuffle(uint64_t value, int source, SourceSite site) override;
  float WarpSum(float value, SourceSite site) override;
  float WarpMax(float value, SourceSite site) override;
  uint32_t Ballot(bool value, SourceSite site) override;
  void LoadMatrix(uint32_t* registers, int count, bool transposed,
                  const void* shared_row, SourceSite site) override;
  void MmaBf16(float* d, const uint32_t* a, const uint32_t* b,
               SourceSite site) override;
  void CopyAsync(void* shared, const void* global, int size, int bytes,
                 SourceSite site) override;
  void CopyAsyncCommit(SourceSite site) override;
  void CopyAsyncWait(int pending, SourceSite site) override;
  [[noreturn]] void Fail(const char* message, SourceSite site) override;

 private:
  static constexpr int kBarriers = 16;
  static constexpr int kWarps = 32;

  struct Thread : ThreadContext {
    Fiber* fiber = nullptr;  // null: not started
    bool exited = false;
    Primitive waits_at = Primitive::kCount;
    SourceSite site = {};
    AsyncCopies copies;
  };

  struct Warp {
    uint32_t ready = 0;  // lanes that could run now, and do not
    uint32_t alive = 0;
    // The collective that lanes have arrived at.
    uint32_t arrived = 0;
    Primitive collective = Primitive::kCount;
    SourceSite site = {};
    std::array<void*, kLanes> operands = {};
    // The order of the lanes: from `rotation`, up or down.
    int rotation = 0;
    bool backwards = false;
  };

  struct Barrier {
    int expected = 0;
    int arrived = 0;
    std::array<uint32_t, kWarps> lanes = {};
  };

  using Apply = void (*)(void* const* lanes);

  // The launch.
  void Prepare(const BlockLaunch& launch, const EmulatorOptions& options,
               uint64_t seed);
  void RunBlock(int64_t block);
  void StartBlock(int64_t block);
  void AbandonFibers();

  // Threads.
  static void FiberEntry();
  [[noreturn]] void RunThreads();
  Thread& Self() { return *static_cast<Thread*>(current_thread); }
  Thread* PickNext();
  int PickLane(Warp& warp);
  void Rotate(Warp& warp);
  void Yield(Thread& self);
  Fiber& FiberFor(Thread& next);
  void Report(const std::string& message);
  [[noreturn]] void Abandon();
  std::string DescribeWaits() const;
  std::string DescribeWarp(int warp) const;

  // Collectives.
  void Collective(Primitive primitive, void* operand, Apply apply,
                  SourceSite site);
  void Complete(Warp& warp, Primitive primitive, Apply apply);
  void CheckMeeting(const Warp& warp, const Thread& self, Primitive primitive,
                    SourceSite site);
  void CheckRow(const void* shared_row, SourceSite site);
  void WaitAtBarrier(Barrier& barrier, int threads, Primitive primitive,
                     SourceSite site);
  void CheckCopy(const void* shared, const void* global, int size, int bytes,
                 SourceSite site);

  bool Faulty(FaultKind kind, SourceSite site) const;
  void Count(Primitive primitive, SourceSite site);
  bool Recorded(Primitive primitive, SourceSite site);

  Fiber main_;  // the thread of the operating system
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> free_fibers_;
  std::vector<Thread> threads_;
  std::array<Warp, kWarps> warps_;
  std::array<Barrier, kBarriers> barriers_;
  SharedArena arena_;

  // The launch that runs.
  BlockLaunch launch_;
  EmulatorOptions options_;
  RandomOrder random_{0};
  uint32_t preemption_ = 0;
  uint32_t ready_warps_ = 0;
  int warp_ = 0;  // the one that runs
  int alive_ = 0;
  int64_t block_ = 0;
  std::string failure_;
  LaunchStatistics statistics_;
  std::set<PrimitiveSite> sites_;
  std::vector<std::pair<Primitive, SourceSite>> seen_;
};

}  // namespace longspan::kernels::cuda::emulated
