// Writing a checkpoint, in this order:
//
//     each rank   WriteShard       shard into step-N.tmp-A, flushed
//     (ranks send their ShardRecord to rank 0)
//     rank 0      CommitCheckpoint manifest, flushed; directory, flushed;
//                                  renamed to step-N; parent, flushed
//
// A crash at any point leaves the older checkpoints as they were. Messages name
// the file. Thread-safe for different shards.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/checkpoint/checkpoint_tensor.h"
#include "worker/checkpoint/manifest.h"

namespace longspan::worker {

struct CheckpointTarget {
  std::string directory;  // of the job's checkpoints; created if missing
  int64_t step = 0;
  int64_t attempt = 0;
};

// Writes shard `index` of `count`. kInvalidArgument for a tensor that is not
// contiguous, a name twice or a slice outside its tensor.
absl::StatusOr<ShardRecord> WriteShard(
    const CheckpointTarget& target, int64_t index, int64_t count,
    absl::Span<const CheckpointTensor> tensors,
    const Transfer& transfer = Transfer());

// Makes the checkpoint visible; manifest.shards lists all of them. Files in the
// temporary directory that are not listed are removed. Returns the path. If the
// step is already there, the old one stays when it is intact, and is moved out
// of the way when it is damaged.
absl::StatusOr<std::string> CommitCheckpoint(const CheckpointTarget& target,
                                             const Manifest& manifest);

}  // namespace longspan::worker
