#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

// What a launch did, counted: predicts time together with the bytes moved.

namespace longspan::kernels::cuda::emulated {

// What threads wait at or are counted by. One that a warp performs together
// counts once per warp.
enum class Primitive {
  kSyncBlock,
  kSyncNamed,
  kSyncWarp,
  kShuffle,
  kWarpSum,  // five shuffles
  kWarpMax,
  kBallot,
  kLoadMatrix2,
  kLoadMatrix4,
  kLoadMatrix2Transposed,
  kLoadMatrix4Transposed,
  kMmaBf16,
  kCopyAsync,      // per thread, like the three below
  kCopyAsyncTail,  // a CopyAsync that writes more bytes than it copies
  kCopyAsyncCommit,
  kCopyAsyncWait,
  kLaunch,  // not counted: a site, named by its kernel
  kCount
};

inline constexpr int kPrimitives = static_cast<int>(Primitive::kCount);

// "SyncBlock" and the like.
std::string_view NameOf(Primitive primitive);

struct LaunchStatistics {
  int64_t launches = 0;
  int64_t blocks = 0;
  int64_t threads = 0;
  std::array<int64_t, kPrimitives> counts = {};
  int64_t copied_bytes = 0;    // by CopyAsync, from global memory
  int64_t bank_conflicts = 0;  // extra passes of LoadMatrix
  int64_t jumps = 0;           // between fibers: the emulator's own cost

  int64_t count(Primitive primitive) const {
    return counts[static_cast<size_t>(primitive)];
  }
  void Add(const LaunchStatistics& other);
};

}  // namespace longspan::kernels::cuda::emulated
