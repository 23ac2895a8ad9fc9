// Checkpoints of a training job: what a run needs to go on bit by bit, and
// what another job needs to load the model.
//
// Tensors are the parameters under their own names and both moments under
// "optimizer.first_moment." and "optimizer.second_moment." + name. Parameters
// are the same on all ranks, so every rank writes a slice of rows of each; the
// shards go together into one checkpoint that rank 0 commits. Before that the
// ranks compare digests of all their parameters.
//
// Everything is collective: all ranks make the same calls and get the same
// status, except that an error names the rank on which it arose.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/checkpoint/checkpoint_reader.h"
#include "worker/checkpoint/checkpoint_tensor.h"
#include "worker/model/parameters.h"
#include "worker/parallel/rank_context.h"
#include "worker/train/train_position.h"
#include "worker/train/train_step.h"

namespace longspan::worker {

// Where and as whom a run keeps its checkpoints.
struct TrainCheckpointOptions {
  std::string directory;
  int64_t keep_last = 2;
  std::string job;  // tenants/{t}/jobs/{j}
  int64_t attempt = 0;
  uint64_t seed = 0;
  std::string build;
  // The model's specification as JSON: opaque here.
  std::string model;
};

class TrainCheckpoint {
 public:
  // All must outlive the object.
  TrainCheckpoint(const TrainCheckpointOptions& options,
                  const RankContext& context, Parameters* parameters,
                  TrainStep* step);

  struct Saved {
    std::string path;
    std::string parameter_digest;
  };
  // kInternal when the ranks' parameters differ. After any other error older
  // checkpoints are intact and the run may go on.
  absl::StatusOr<Saved> Save(const TrainPosition& position);

  struct Restored {
    TrainPosition position;
    std::vector<std::string> notes;  // for the log: what was odd about it
  };
  // The newest intact checkpoint into parameters and moments; nullopt when
  // there is none at all. kFailedPrecondition: it is of another model, seed or
  // number of ranks, or ranks see different checkpoints. kDataLoss: every one
  // is damaged.
  absl::StatusOr<std::optional<Restored>> Restore();

 private:
  std::vector<CheckpointTensor> AllParameters() const;
  // This rank's rows of the flat buffer's tensors.
  void AddRows(const std::string& prefix, kernels::TensorView flat,
               std::vector<CheckpointTensor>& out) const;
  absl::StatusOr<std::string> WriteRows(int64_t step,
                                        const std::string& digest) const;
  absl::StatusOr<std::string> Commit(const TrainPosition& position,
                                     const std::vector<std::string>& reports,
                                     const std::string& digest) const;
  absl::Status CheckManifest(const Manifest& manifest,
                             std::vector<std::string>& notes) const;
  absl::Status CheckSameStep(int64_t step) const;

  const TrainCheckpointOptions& options_;
  const RankContext& context_;
  Parameters* const parameters_;
  TrainStep* const step_;
};

// Reads all parameters of a checkpoint; kFailedPrecondition names the first
// that is missing or has another shape.
absl::Status ReadParameters(const CheckpointReader& checkpoint,
                            const Parameters& parameters);

// Every rank's text, by rank, at most 1000 bytes each.
absl::StatusOr<std::vector<std::string>> GatherTexts(const RankContext& context,
                                                     const std::string& text);

}  // namespace longspan::worker
