// The directory of a job's checkpoints.
//
//     step-00000120/             complete: manifest.json and its shards
//     step-00000240.tmp-3/       being written by attempt 3
//     step-00000060.deleted/     being removed
//
// A complete checkpoint appears by rename and is never changed; the newest one
// is found by listing. Ranks share the directory.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace longspan::worker {

inline constexpr char kManifestFile[] = "manifest.json";

struct CheckpointEntry {
  int64_t step = 0;
  std::string path;
};

// "step-00000120"
std::string StepDirectoryName(int64_t step);
// "step-00000120.tmp-3": attempts of a job never write into each other's.
std::string TemporaryDirectoryName(int64_t step, int64_t attempt);

// Complete checkpoints by name, newest first; nothing is opened. A missing
// directory has none.
absl::StatusOr<std::vector<CheckpointEntry>> ListCheckpoints(
    const std::string& directory);

// Removes a directory with all in it, if it is there.
absl::Status RemoveTree(const std::string& path);

// Removes all but the newest `keep_last` (>= 1) complete checkpoints, and what
// was left behind by writers and removals of steps up to the newest.
absl::Status PruneCheckpoints(const std::string& directory, int64_t keep_last);

}  // namespace longspan::worker
