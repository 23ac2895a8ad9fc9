// Models on disk: a checkpoint says in its manifest what it is a checkpoint of,
// as the JSON form of longspan.v1.ModelSpec.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/model_spec/model_spec.h"
#include "worker/checkpoint/checkpoint_reader.h"
#include "worker/executor/root_uri.h"
#include "worker/model/model.h"
#include "worker/model/parameters.h"
#include "worker/parallel/rank_context.h"

namespace longspan::v1 {
class ModelSource;
class ModelSpec;
}  // namespace longspan::v1

namespace longspan::worker {

// The JSON that a manifest keeps: equal models, equal text.
absl::StatusOr<std::string> DescribeModel(const v1::ModelSpec& spec);

struct LoadedModel {
  ModelSpec spec;
  std::unique_ptr<Parameters> parameters;
  std::unique_ptr<Model> model;
  std::string path;  // of the checkpoint
};

// The checkpoint that a URI names: itself, or the newest intact one of a
// directory of checkpoints, or its `step` (0: newest).
absl::StatusOr<std::unique_ptr<CheckpointReader>> OpenCheckpoint(
    const Roots& roots, const std::string& uri, int64_t step);

// Reads the parameters in the type they were trained in; kFailedPrecondition
// when that is not the context's for parameters.
absl::StatusOr<LoadedModel> LoadModel(const CheckpointReader& checkpoint,
                                      const RankContext& context);

}  // namespace longspan::worker
