#include "tests/support/cuda_emulator/block_scheduler.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "tests/support/cuda_emulator/emulator_state.h"
#include "tests/support/cuda_emulator/sanitizer_hooks.h"

namespace longspan::kernels::cuda::emulated {

constinit thread_local ThreadContext* current_thread = nullptr;

namespace {

constexpr size_t kStackBytes = kAddressSanitizer ? 256 * 1024 : 64 * 1024;
constexpr uint32_t kAllLanes = 0xFFFFFFFFu;

}  // namespace

BlockScheduler::BlockScheduler() = default;
BlockScheduler::~BlockScheduler() = default;

// ---- The launch.

std::string BlockScheduler::Run(const BlockLaunch& launch,
                                const EmulatorOptions& options, uint64_t seed) {
  ThreadContext* const outside = current_thread;
  Prepare(launch, options, seed);
  const BlockOrder order(launch.blocks, random_);
  for (int64_t i = 0; i < launch.blocks && failure_.empty(); ++i) {
    const int64_t block = order.Block(i);
    if (block != launch.left_out) {
      RunBlock(block);
    }
  }
  current_thread = outside;
  return failure_;
}

void BlockScheduler::Prepare(const BlockLaunch& launch,
                             const EmulatorOptions& options, uint64_t seed) {
  launch_ = launch;
  options_ = options;
  random_ = RandomOrder(seed);
  failure_.clear();
  statistics_ = {.launches = 1};
  statistics_.blocks = launch.blocks;
  statistics_.threads = launch.blocks * launch.threads;
  sites_.clear();
  seen_.clear();
  constexpr std::array<uint32_t, 3> kPreemptions = {0, 8, 64};
  preemption_ = options.preemption >= 0
                    ? static_cast<uint32_t>(options.preemption)
                    : kPreemptions[random_.Below(3)];
  const size_t threads = static_cast<size_t>(launch.threads);
  if (threads_.size() < threads) {
    threads_.resize(threads);
  }
  arena_.Resize(launch.shared_bytes);
  for (size_t i = 0; i < threads; ++i) {
    Thread& thread = threads_[i];
    thread.thread = static_cast<int>(i);
    thread.lane = thread.thread % kLanes;
    thread.warp = thread.thread / kLanes;
    thread.block_threads = launch.threads;
    thread.blocks = launch.blocks;
    thread.shared = arena_.data();
    thread.runner = this;
  }
}

void BlockScheduler::StartBlock(int64_t block) {
  block_ = block;
  alive_ = launch_.threads;
  barriers_ = {};
  arena_.StartBlock(options_.trap_copies_under_way);
  for (int i = 0; i < launch_.threads; ++i) {
    Thread& thread = threads_[static_cast<size_t>(i)];
    thread.block = block;
    thread.fiber = nullptr;
    thread.exited = false;
    thread.waits_at = Primitive::kCount;
    thread.copies.Clear();
  }
  const int warps = launch_.threads / kLanes;
  for (int i = 0; i < warps; ++i) {
    Warp& warp = warps_[static_cast<size_t>(i)];
    warp.alive = warp.ready = kAllLanes;
    warp.arrived = 0;
    Rotate(warp);
  }
  ready_warps_ = warps == kWarps ? kAllLanes : (1u << warps) - 1;
  warp_ = random_.AnyBit(ready_warps_);
}

void BlockScheduler::RunBlock(int64_t block) {
  StartBlock(block);
  Thread& first = *PickNext();
  Fiber& fiber = FiberFor(first);
  current_thread = &first;
  Fiber::Jump(main_, fiber);
  if (!failure_.empty()) {
    AbandonFibers();
  } else if (!arena_.GuardsIntact()) {
    failure_ = "block " + std::to_string(block) +
               ": wrote shared memory out of bounds";
  }
}

// The threads of a failed launch lie somewhere in their kernel.
void BlockScheduler::AbandonFibers() {
  free_fibers_.clear();
  for (const auto& fiber : fibers_) {
    fiber->Reset();
    free_fibers_.push_back(fiber.get());
  }
}

// ---- Threads.

void BlockScheduler::FiberEntry() {
  static_cast<BlockScheduler*>(current_thread->runner)->RunThreads();
}

// Runs threads that nobody has started, until all have been; then lends the
// fiber to the next block.
void BlockScheduler::RunThreads() {
  for (;;) {
    Thread& self = Self();
    Fiber* const fiber = self.fiber;
    (*launch_.thread_body)();
    self.exited = true;
    --alive_;
    warps_[static_cast<size_t>(self.warp)].alive &= ~(1u << self.lane);
    Thread* next = PickNext();
    if (next != nullptr && next->fiber == nullptr) {
      next->fiber = fiber;
      current_thread = next;
      continue;
    }
    if (next == nullptr && alive_ > 0) {
      Report("waits for threads that never come: " + DescribeWaits());
      Abandon();
    }
    free_fibers_.push_back(fiber);
    current_thread = next;
    ++statistics_.jumps;
    Fiber::Jump(*fiber, next == nullptr ? main_ : *next->fiber);
  }
}

void BlockScheduler::Rotate(Warp& warp) {
  const uint32_t random = random_.Next();
  warp.rotation = static_cast<int>(random >> 27);
  warp.backwards = (random & 1) != 0;
}

int BlockScheduler::PickLane(Warp& warp) {
  const uint32_t rotated = std::rotr(warp.ready, warp.rotation);
  const int lane = warp.backwards ? 31 - std::countl_zero(rotated)
                                  : std::countr_zero(rotated);
  return (lane + warp.rotation) % kLanes;
}

// The thread to go on, no longer marked as ready; null if there is none.
BlockScheduler::Thread* BlockScheduler::PickNext() {
  while (warps_[static_cast<size_t>(warp_)].ready == 0) {
    ready_warps_ &= ~(1u << warp_);
    if (ready_warps_ == 0) {
      return nullptr;
    }
    warp_ = random_.AnyBit(ready_warps_);
  }
  Warp& warp = warps_[static_cast<size_t>(warp_)];
  const int lane = PickLane(warp);
  warp.ready &= ~(1u << lane);
  return &threads_[static_cast<size_t>(warp_ * kLanes + lane)];
}

Fiber& BlockScheduler::FiberFor(Thread& next) {
  if (next.fiber == nullptr) {
    if (free_fibers_.empty()) {
      fibers_.push_back(std::make_unique<Fiber>(
          kStackBytes, static_cast<int>(fibers_.size()), &FiberEntry));
      free_fibers_.push_back(fibers_.back().get());
    }
    next.fiber = free_fibers_.back();
    free_fibers_.pop_back();
  }
  return *next.fiber;
}

// Lets another thread go on; returns when it is this one's turn.
void BlockScheduler::Yield(Thread& self) {
  Thread* next = PickNext();
  if (next == nullptr) {
    Report("waits for threads that never come: " + DescribeWaits());
    Abandon();
  }
  if (next != &self) {
    Fiber& fiber = FiberFor(*next);
    current_thread = next;
    ++statistics_.jumps;
    Fiber::Jump(*self.fiber, fiber);
  }
}

void BlockScheduler::Fail(const char* message, SourceSite site) {
  const Thread& self = Self();
  Report("thread " + std::to_string(self.thread) + " at " +
         std::string(FileName(site.file)) + ":" + std::to_string(site.line) +
         ": " + message);
  Abandon();
}

// What the sentence was made of is gone before Abandon leaves the stack for
// good.
void BlockScheduler::Report(const std::string& message) {
  failure_ = "block " + std::to_string(block_) + ": " + message;
}

void BlockScheduler::Abandon() {
  Fiber* const fiber = Self().fiber;
  for (;;) {
    Fiber::Jump(*fiber, main_);
  }
}

std::string BlockScheduler::DescribeWaits() const {
  std::string text;
  for (int warp = 0; warp < launch_.threads / kLanes; ++warp) {
    text += (warp == 0 ? "" : "; ") + DescribeWarp(warp);
  }
  return text;
}

// "warp 2: 31 threads at SyncBlock (x.cu:17), 1 exited".
std::string BlockScheduler::DescribeWarp(int warp) const {
  std::vector<std::pair<std::string, int>> places;
  for (int lane = 0; lane < kLanes; ++lane) {
    const Thread& thread = threads_[static_cast<size_t>(warp * kLanes + lane)];
    std::string place = "exited";
    if (!thread.exited) {
      place = "at " + std::string(NameOf(thread.waits_at)) + " (" +
              std::string(FileName(thread.site.file)) + ":" +
              std::to_string(thread.site.line) + ")";
    }
    if (places.empty() || places.back().first != place) {
      places.emplace_back(place, 0);
    }
    ++places.back().second;
  }
  std::string text = "warp " + std::to_string(warp) + ":";
  for (const auto& [place, count] : places) {
    text += " " + std::to_string(count) + " " + place;
  }
  return text;
}

// ---- Counting and faults.

bool BlockScheduler::Faulty(FaultKind kind, SourceSite site) const {
  return options_.fault.kind == kind && options_.fault.line == site.line &&
         FileName(options_.fault.file) == FileName(site.file);
}

void BlockScheduler::Count(Primitive primitive, SourceSite site) {
  ++statistics_.counts[static_cast<size_t>(primitive)];
  if (options_.record_sites && !Recorded(primitive, site)) {
    sites_.insert({primitive, std::string(FileName(site.file)), site.line});
  }
}

bool BlockScheduler::Recorded(Primitive primitive, SourceSite site) {
  for (const auto& [seen_primitive, seen] : seen_) {
    if (seen_primitive == primitive && seen.line == site.line &&
        seen.file == site.file) {
      return true;
    }
  }
  seen_.emplace_back(primitive, site);
  return false;
}

// ---- Collectives of a warp.

void BlockScheduler::CheckMeeting(const Warp& warp, const Thread& self,
                                  Primitive primitive, SourceSite site) {
  const bool same_line = warp.site.line == site.line &&
                         (warp.site.file == site.file ||
                          std::strcmp(warp.site.file, site.file) == 0);
  if (warp.collective != primitive || !same_line) {
    Report("lanes of warp " + std::to_string(self.warp) +
           " meet in different places: lane " + std::to_string(self.lane) +
           " at " + std::string(NameOf(primitive)) + " (" +
           std::string(FileName(site.file)) + ":" + std::to_string(site.line) +
           "), others at " + std::string(NameOf(warp.collective)) + " (" +
           std::string(FileName(warp.site.file)) + ":" +
           std::to_string(warp.site.line) + ")");
    Abandon();
  }
}

void BlockScheduler::Collective(Primitive primitive, void* operand, Apply apply,
                                SourceSite site) {
  Thread& self = Self();
  Warp& warp = warps_[static_cast<size_t>(self.warp)];
  if (warp.arrived == 0) {
    warp.collective = primitive;
    warp.site = site;
    Count(primitive, site);
  } else {
    CheckMeeting(warp, self, primitive, site);
  }
  warp.operands[static_cast<size_t>(self.lane)] = operand;
  warp.arrived |= 1u << self.lane;
  self.waits_at = primitive;
  self.site = site;
  if (warp.arrived == kAllLanes) {
    Complete(warp, primitive, apply);
    warp.ready &= ~(1u << self.lane);
    if (preemption_ == 0 || random_.Next() % 256 >= preemption_) {
      return;
    }
    warp.ready |= 1u << self.lane;
    warp_ = random_.AnyBit(ready_warps_);
  }
  Yield(self);
}

void BlockScheduler::Complete(Warp& warp, Primitive primitive, Apply apply) {
  const bool two = primitive == Primitive::kLoadMatrix2 ||
                   primitive == Primitive::kLoadMatrix2Transposed;
  const bool four = primitive == Primitive::kLoadMatrix4 ||
                    primitive == Primitive::kLoadMatrix4Transposed;
  if (two || four) {
    statistics_.bank_conflicts +=
        BankConflicts(warp.operands.data(), four ? 4 : 2);
  }
  if (apply != nullptr) {
    apply(warp.operands.data());
  }
  warp.arrived = 0;
  warp.ready = kAllLanes;
  ready_warps_ |= 1u << warp_;
  Rotate(warp);
}

void BlockScheduler::SyncWarp(SourceSite site) {
  if (Faulty(FaultKind::kDrop, site)) {
    return;
  }
  Collective(Primitive::kSyncWarp, nullptr, nullptr, site);
}

uint64_t BlockScheduler::Shuffle(uint64_t value, int source, SourceSite site) {
  ShuffleOperand operand{value, source, 0};
  Collective(Primitive::kShuffle, &operand, &ApplyShuffle, site);
  return operand.result;
}

float BlockScheduler::WarpSum(float value, SourceSite site) {
  ReduceOperand operand{value};
  Collective(Primitive::kWarpSum, &operand, &ApplyWarpSum, site);
  return operand.value;
}

float BlockScheduler::WarpMax(float value, SourceSite site) {
  ReduceOperand operand{value};
  Collective(Primitive::kWarpMax, &operand, &ApplyWarpMax, site);
  return operand.value;
}

uint32_t BlockScheduler::Ballot(bool value, SourceSite site) {
  BallotOperand operand{value, 0};
  Collective(Primitive::kBallot, &operand, &ApplyBallot, site);
  return operand.result;
}

void BlockScheduler::CheckRow(const void* shared_row, SourceSite site) {
  if (reinterpret_cast<uintptr_t>(shared_row) % 16 != 0) {
    Fail("LoadMatrix of a row that is not aligned to 16 bytes", site);
  }
  if (!arena_.Contains(shared_row, 16)) {
    Fail("LoadMatrix out of the bounds of shared memory", site);
  }
  if (arena_.UnderWay(shared_row, 16)) {
    Fail("LoadMatrix of bytes that CopyAsync still has under way", site);
  }
}

void BlockScheduler::LoadMatrix(uint32_t* registers, int count, bool transposed,
                                const void* shared_row, SourceSite site) {
  static constexpr Primitive kPrimitive[2][2] = {
      {Primitive::kLoadMatrix2, Primitive::kLoadMatrix2Transposed},
      {Primitive::kLoadMatrix4, Primitive::kLoadMatrix4Transposed}};
  static constexpr Apply kApply[2][2] = {
      {&ApplyLoadMatrix2, &ApplyLoadMatrix2Transposed},
      {&ApplyLoadMatrix4, &ApplyLoadMatrix4Transposed}};
  if (Faulty(FaultKind::kSkew, site)) {
    shared_row = reinterpret_cast<const void*>(
        reinterpret_cast<uintptr_t>(shared_row) ^ 16);
  }
  if (Self().lane < 8 * count) {
    CheckRow(shared_row, site);
  }
  const int four = count == 4 ? 1 : 0;
  LoadMatrixOperand operand{registers, shared_row};
  Collective(kPrimitive[four][transposed ? 1 : 0], &operand,
             kApply[four][transposed ? 1 : 0], site);
}

void BlockScheduler::MmaBf16(float* d, const uint32_t* a, const uint32_t* b,
                             SourceSite site) {
  MmaOperand operand{d, a, b};
  Collective(Primitive::kMmaBf16, &operand, &ApplyMmaBf16, site);
}

// ---- Barriers.

void BlockScheduler::WaitAtBarrier(Barrier& barrier, int threads,
                                   Primitive primitive, SourceSite site) {
  Thread& self = Self();
  const auto warp = static_cast<size_t>(self.warp);
  if (barrier.arrived > 0 && barrier.expected != threads) {
    Fail("a barrier that others wait at with another number of threads", site);
  }
  self.waits_at = primitive;
  self.site = site;
  barrier.expected = threads;
  barrier.lanes[warp] |= 1u << self.lane;
  if (++barrier.arrived == threads) {
    for (size_t i = 0; i < kWarps; ++i) {
      warps_[i].ready |= barrier.lanes[i];
      ready_warps_ |= barrier.lanes[i] != 0 ? 1u << i : 0;
    }
    barrier = {};
    // Who arrived last goes on first no more often than others.
    warp_ = random_.AnyBit(ready_warps_);
  }
  Yield(self);
}

void BlockScheduler::SyncBlock(SourceSite site) {
  if (Faulty(FaultKind::kDrop, site)) {
    return;
  }
  if (barriers_[0].arrived == 0) {
    Count(Primitive::kSyncBlock, site);
  }
  WaitAtBarrier(barriers_[0], launch_.threads, Primitive::kSyncBlock, site);
}

void BlockScheduler::SyncNamed(int id, int threads, SourceSite site) {
  if (Faulty(FaultKind::kDrop, site)) {
    return;
  }
  if (id < 1 || id >= kBarriers || threads <= 0 || threads % kLanes != 0 ||
      threads > launch_.threads) {
    Fail("SyncNamed takes a barrier of 1 to 15 and whole warps of the block",
         site);
  }
  Barrier& barrier = barriers_[static_cast<size_t>(id)];
  if (barrier.arrived == 0) {
    Count(Primitive::kSyncNamed, site);
  }
  WaitAtBarrier(barrier, threads, Primitive::kSyncNamed, site);
}

// ---- Asynchronous copies.

void BlockScheduler::CheckCopy(const void* shared, const void* global, int size,
                               int bytes, SourceSite site) {
  const auto alignment = static_cast<uintptr_t>(size);
  if (reinterpret_cast<uintptr_t>(shared) % alignment != 0 ||
      (bytes > 0 && reinterpret_cast<uintptr_t>(global) % alignment != 0)) {
    Fail("CopyAsync with a misaligned address", site);
  }
  if (bytes < 0 || bytes > size) {
    Fail("CopyAsync of more bytes than it writes, or less than none", site);
  }
  if (!arena_.Contains(shared, static_cast<size_t>(size))) {
    Fail("CopyAsync out of the bounds of shared memory", site);
  }
  if (bytes > 0 && IsPoisoned(global, static_cast<size_t>(bytes))) {
    Fail("CopyAsync from outside of an allocation", site);
  }
  if (arena_.UnderWay(shared, size)) {
    Fail("CopyAsync over bytes that another one has under way", site);
  }
}

void BlockScheduler::CopyAsync(void* shared, const void* global, int size,
                               int bytes, SourceSite site) {
  Count(Primitive::kCopyAsync, site);
  if (bytes < size) {
    Count(Primitive::kCopyAsyncTail, site);
  }
  if (Faulty(FaultKind::kFullCopy, site)) {
    bytes = size;
  }
  CheckCopy(shared, global, size, bytes, site);
  if (bytes > 0) {
    // A fault of the page shows here and not where the copy lands.
    const auto* source = static_cast<const volatile unsigned char*>(global);
    static_cast<void>(source[0]);
    static_cast<void>(source[bytes - 1]);
  }
  if (Faulty(FaultKind::kDrop, site)) {
    return;
  }
  statistics_.copied_bytes += bytes;
  Self().copies.Issue({shared, global, size, bytes, site}, arena_);
}

void BlockScheduler::CopyAsyncCommit(SourceSite site) {
  Count(Primitive::kCopyAsyncCommit, site);
  Self().copies.Commit();
}

void BlockScheduler::CopyAsyncWait(int pending, SourceSite site) {
  Count(Primitive::kCopyAsyncWait, site);
  if (Faulty(FaultKind::kDrop, site)) {
    return;
  }
  const bool late = Faulty(FaultKind::kLateWait, site);
  Self().copies.Wait(pending + (late ? 1 : 0), arena_);
}

}  // namespace longspan::kernels::cuda::emulated
