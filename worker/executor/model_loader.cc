#include "worker/executor/model_loader.h"

#include <google/protobuf/util/json_util.h>

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/job_spec/model_spec_from_proto.h"
#include "common/model_spec/head_exchange_plan.h"
#include "longspan/v1/job.pb.h"
#include "worker/checkpoint/checkpoint_directory.h"
#include "worker/train/train_checkpoint.h"

namespace longspan::worker {
namespace {

absl::StatusOr<ModelSpec> SpecOf(const CheckpointReader& checkpoint) {
  const auto& state = checkpoint.manifest().state;
  const auto found = state.find("model");
  v1::ModelSpec spec;
  if (found == state.end() ||
      !google::protobuf::util::JsonStringToMessage(found->second, &spec).ok()) {
    return absl::DataLossError(absl::StrCat(
        checkpoint.path(), ": the manifest does not say which model it is of"));
  }
  ModelSpec resolved = ResolveDefaults(ModelSpecFromProto(spec));
  const std::vector<SpecMistake> mistakes = Validate(resolved);
  if (mistakes.empty()) return resolved;
  return absl::DataLossError(absl::StrCat(checkpoint.path(), ": model.",
                                          mistakes[0].path, ": ",
                                          mistakes[0].message));
}

// A job file's model is checked when it is sent, a checkpoint's only here:
// whether the gang and the backend can run it.
absl::Status CheckGang(const ModelSpec& spec, const std::string& path,
                       const RankContext& context) {
  absl::Status heads = CheckHeadCut(spec, context.method, context.ranks());
  if (heads.ok()) {
    heads = CheckHeadCut(spec, context.softmax_method, context.ranks());
  }
  if (heads.ok()) return heads;
  return absl::InvalidArgumentError(
      absl::StrCat(path, ": ", std::string(heads.message())));
}

absl::Status CheckBackend(const ModelSpec& spec, const std::string& path,
                          const RankContext& context) {
  if (context.backend_kind != kernels::BackendKind::kCuda) {
    return absl::OkStatus();
  }
  const std::vector<SpecMistake> missing = MissingOnCuda(spec);
  if (missing.empty()) return absl::OkStatus();
  return absl::UnimplementedError(
      absl::StrCat(path, ": model.", missing[0].path, " ", missing[0].message));
}

}  // namespace

absl::StatusOr<std::string> DescribeModel(const v1::ModelSpec& spec) {
  std::string json;
  if (google::protobuf::util::MessageToJsonString(spec, &json).ok()) {
    return json;
  }
  return absl::InternalError("the model spec cannot be written as JSON");
}

absl::StatusOr<std::unique_ptr<CheckpointReader>> OpenCheckpoint(
    const Roots& roots, const std::string& uri, int64_t step) {
  if (uri.empty()) {
    return absl::InvalidArgumentError("the job names no model");
  }
  ASSIGN_OR_RETURN(std::string path, ResolveRootUri(roots, uri));
  if (step > 0) absl::StrAppend(&path, "/", StepDirectoryName(step));
  std::error_code error;
  if (step > 0 || std::filesystem::exists(path + "/" + kManifestFile, error)) {
    return CheckpointReader::Open(path);
  }
  ASSIGN_OR_RETURN(LatestCheckpoint latest, LoadLatest(path));
  return std::move(latest.checkpoint);
}

absl::StatusOr<LoadedModel> LoadModel(const CheckpointReader& checkpoint,
                                      const RankContext& context) {
  LoadedModel loaded = {.path = checkpoint.path()};
  ASSIGN_OR_RETURN(loaded.spec, SpecOf(checkpoint));
  RETURN_IF_ERROR(CheckGang(loaded.spec, loaded.path, context));
  RETURN_IF_ERROR(CheckBackend(loaded.spec, loaded.path, context));
  ASSIGN_OR_RETURN(loaded.parameters, Parameters::Create(context, loaded.spec,
                                                         /*with_gradients=*/
                                                         false));
  RETURN_IF_ERROR(ReadParameters(checkpoint, *loaded.parameters));
  loaded.model = std::make_unique<Model>(loaded.spec, *loaded.parameters);
  return loaded;
}

}  // namespace longspan::worker
