#include "tests/support/cuda_emulator/launch_statistics.h"

namespace longspan::kernels::cuda::emulated {

std::string_view NameOf(Primitive primitive) {
  static constexpr std::array<std::string_view, kPrimitives> kNames = {
      "SyncBlock",
      "SyncNamed",
      "SyncWarp",
      "Shuffle",
      "WarpSum",
      "WarpMax",
      "WarpBallot",
      "LoadMatrix2",
      "LoadMatrix4",
      "LoadMatrix2Transposed",
      "LoadMatrix4Transposed",
      "MmaBf16",
      "CopyAsync",
      "CopyAsync of a tail",
      "CopyAsyncCommit",
      "CopyAsyncWait",
      "Launch"};
  return kNames[static_cast<size_t>(primitive)];
}

void LaunchStatistics::Add(const LaunchStatistics& other) {
  launches += other.launches;
  blocks += other.blocks;
  threads += other.threads;
  for (size_t i = 0; i < counts.size(); ++i) {
    counts[i] += other.counts[i];
  }
  copied_bytes += other.copied_bytes;
  bank_conflicts += other.bank_conflicts;
  jumps += other.jumps;
}

}  // namespace longspan::kernels::cuda::emulated
