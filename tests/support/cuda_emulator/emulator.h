#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/support/cuda_emulator/emulator_options.h"   // IWYU: export
#include "tests/support/cuda_emulator/launch_statistics.h"  // IWYU: export

// Runs the emulated form of CUDA kernels (kernels/cuda/device): a test
// instrument with the documented semantics of PTX and no speed.
//
// LaunchKernel runs the kernel before it returns, on the calling thread,
// unless hooks say otherwise. Each thread of a block is a fiber; blocks, warps
// and lanes come in random order; shared memory is NaN when a block starts;
// asynchronous copies land when they are waited for and not before. A kernel
// that cannot go on (a barrier that some threads do not reach, lanes of a warp
// that meet in different collectives, a misaligned address) fails its launch
// with code kLaunchFailure and a sentence that names kernel, block and lines.
// A plain access out of bounds is AddressSanitizer's.
//
// All functions may be called from any thread.

namespace longspan::kernels::cuda::emulated {

inline constexpr int kLaunchFailure = 719;  // cudaErrorLaunchFailure

// What the emulated runtime wants to know of launches.
class LaunchHooks {
 public:
  virtual ~LaunchHooks() = default;
  // `run` runs the launch and returns its code. Calls it now, later, or (a
  // graph) several times; the default calls it now.
  virtual int Submit(void* native_stream, std::function<int()> run);
  // Around every run, on the thread that runs it.
  virtual void BeginLaunch() {}
  virtual void EndLaunch() {}
};

// Null: none. Not owned.
void SetLaunchHooks(LaunchHooks* hooks);

// Sentences of the launches that failed since the last call; empty: none.
std::string TakeLaunchFailures();

// Since the last call, by kernel: "OutputsParams in Outputs" for the struct
// of parameters and the host function that launched.
std::map<std::string, LaunchStatistics> TakeStatistics();

// A line that used a primitive while EmulatorOptions::record_sites was on.
struct PrimitiveSite {
  Primitive primitive = Primitive::kSyncBlock;
  std::string file;  // last part; of a launch, its name in TakeStatistics
  int line = 0;
  auto operator<=>(const PrimitiveSite&) const = default;
};

// Since the last call, sorted.
std::vector<PrimitiveSite> TakeSites();

}  // namespace longspan::kernels::cuda::emulated
