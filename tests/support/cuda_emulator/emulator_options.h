#pragma once

#include <cstdint>
#include <string>

#include "kernels/cuda/device/emulated/source_site.h"
#include "tests/support/cuda_emulator/launch_statistics.h"

// How launches are emulated from now on, in the whole process.

namespace longspan::kernels::cuda::emulated {

// A planted bug: what the primitive on one source line does wrong. The kernel
// itself stays as it is, so tests can break every line of a real one in turn.
enum class FaultKind {
  kNone,
  kDrop,      // a barrier or wait returns at once; a copy never lands
  kLateWait,  // CopyAsyncWait<n> waits as if for n + 1
  kSkew,      // LoadMatrix reads 16 bytes beside the right row
  kFullCopy,  // CopyAsync ignores that it should copy fewer bytes
  kLastBlock  // a launch leaves its last block out
};

struct Fault {
  FaultKind kind = FaultKind::kNone;
  std::string file;  // the last part of the path is enough; of a launch, its
                     // name in TakeStatistics
  int line = 0;
};

struct EmulatorOptions {
  // Everything random follows from it: the order of blocks, warps and lanes.
  uint64_t seed = 0;
  // In 1/256: how often a warp that could go on after a collective makes way
  // for another one. Negative: 0, 8 or 64, drawn for each launch.
  int preemption = -1;
  // A plain access to shared bytes that a copy has under way ends the process
  // with AddressSanitizer's report, which names the line. Off: it finds NaN.
  bool trap_copies_under_way = true;
  // What a block may have: 163 KiB is sm_80's.
  int shared_bytes = 227 * 1024;
  // Failures are also written to stderr.
  bool print_failures = true;
  // Collects the lines that use each primitive (Emulator::Sites).
  bool record_sites = false;
  Fault fault;
};

// The options in force. The default seed is the environment's
// LONGSPAN_EMULATOR_SEED, or 0.
EmulatorOptions CurrentOptions();

// The options in force, with an order of its own for each n. A test that runs
// a list of cases runs the n-th in order n, so that the list as a whole meets
// as many orders as it has cases.
EmulatorOptions InOrder(uint64_t n);

// In force until it goes out of scope.
class ScopedEmulatorOptions {
 public:
  explicit ScopedEmulatorOptions(const EmulatorOptions& options);
  ~ScopedEmulatorOptions();
  ScopedEmulatorOptions(const ScopedEmulatorOptions&) = delete;
  ScopedEmulatorOptions& operator=(const ScopedEmulatorOptions&) = delete;

 private:
  EmulatorOptions before_;
};

}  // namespace longspan::kernels::cuda::emulated
