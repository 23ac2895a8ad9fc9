#include "worker/train/train_checkpoint.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "worker/checkpoint/checkpoint_directory.h"
#include "worker/checkpoint/checkpoint_writer.h"
#include "worker/train/train_position.h"

namespace longspan::worker {
namespace {

using kernels::TensorView;

constexpr char kFirstMoment[] = "optimizer.first_moment.";
constexpr char kSecondMoment[] = "optimizer.second_moment.";
constexpr int64_t kTextBytes = 1024;  // of one rank in GatherTexts

TensorView Shaped(TensorView flat, const ParameterInfo& info) {
  const TensorView view = flat.Slice(0, info.offset, info.offset + info.count);
  const std::vector<int64_t>& s = info.shape;
  if (s.size() == 1) return view.Reshape({s[0]});
  if (s.size() == 2) return view.Reshape({s[0], s[1]});
  return view.Reshape({s[0], s[1], s[2]});
}

// What rank 0 learns from a rank: "ok file bytes sha256 digest", or
// "error <message>".
std::string ShardReport(const absl::StatusOr<ShardRecord>& record,
                        const std::string& digest) {
  if (!record.ok()) {
    return absl::StrCat("error ", record.status().message().substr(0, 900));
  }
  return absl::StrCat("ok ", record->file, " ", record->bytes, " ",
                      record->sha256, " ", digest);
}

absl::StatusOr<ShardRecord> ParseShardReport(int64_t rank,
                                             const std::string& report,
                                             const std::string& digest) {
  const std::vector<std::string> words = absl::StrSplit(report, ' ');
  ShardRecord record;
  if (words.size() != 5 || words[0] != "ok" ||
      !absl::SimpleAtoi(words[2], &record.bytes)) {
    return absl::UnavailableError(
        absl::StrCat("checkpoint: rank ", rank, ": ", report));
  }
  if (words[4] != digest) {
    return absl::InternalError(absl::StrCat(
        "checkpoint: parameters differ between ranks: rank 0 has digest ",
        digest, ", rank ", rank, " has ", words[4]));
  }
  record.file = words[1];
  record.sha256 = words[3];
  return record;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> GatherTexts(const RankContext& context,
                                                     const std::string& text) {
  if (context.gang_ranks() == 1) return std::vector<std::string>{text};
  std::string buffer(context.gang_ranks() * kTextBytes, '\0');
  const auto row = [&](int rank) {
    return TensorView(buffer.data() + rank * kTextBytes, kernels::DType::kU8,
                      {kTextBytes});
  };
  std::vector<TensorView> rows;
  for (int rank = 0; rank < context.gang_ranks(); ++rank)
    rows.push_back(row(rank));
  const auto own = buffer.begin() + context.gang_rank() * kTextBytes;
  std::copy_n(text.begin(), std::min<size_t>(text.size(), kTextBytes - 1), own);
  RETURN_IF_ERROR(context.gang()
                      ->AllGather(rows[context.gang_rank()], rows,
                                  {.traffic = Traffic::kControl})
                      ->Wait());
  std::vector<std::string> texts;
  for (int rank = 0; rank < context.gang_ranks(); ++rank) {
    texts.emplace_back(buffer.data() + rank * kTextBytes);
  }
  return texts;
}

absl::Status ReadParameters(const CheckpointReader& checkpoint,
                            const Parameters& parameters) {
  for (const ParameterInfo& info : parameters.layout().parameters) {
    const absl::Status status = checkpoint.Read(
        info.name, parameters.Value(info.name), parameters.transfer());
    if (status.ok()) continue;
    return absl::FailedPreconditionError(
        absl::StrCat(checkpoint.path(), ": ", status.message()));
  }
  return parameters.RefreshCompute();
}

TrainCheckpoint::TrainCheckpoint(const TrainCheckpointOptions& options,
                                 const RankContext& context,
                                 Parameters* parameters, TrainStep* step)
    : options_(options),
      context_(context),
      parameters_(parameters),
      step_(step) {}

std::vector<CheckpointTensor> TrainCheckpoint::AllParameters() const {
  std::vector<CheckpointTensor> tensors;
  for (const ParameterInfo& info : parameters_->layout().parameters) {
    tensors.push_back(
        {.name = info.name, .data = parameters_->Value(info.name)});
  }
  return tensors;
}

void TrainCheckpoint::AddRows(const std::string& prefix, TensorView flat,
                              std::vector<CheckpointTensor>& out) const {
  const int64_t rank = context_.gang_rank();
  const int64_t ranks = context_.gang_ranks();
  for (const ParameterInfo& info : parameters_->layout().parameters) {
    const int64_t begin = info.shape[0] * rank / ranks;
    const int64_t end = info.shape[0] * (rank + 1) / ranks;
    if (begin == end) continue;
    std::vector<int64_t> offset(info.shape.size(), 0);
    offset[0] = begin;
    out.push_back({.name = prefix + info.name,
                   .data = Shaped(flat, info).Slice(0, begin, end),
                   .global_shape = info.shape,
                   .offset = std::move(offset)});
  }
}

absl::StatusOr<std::string> TrainCheckpoint::WriteRows(
    int64_t step, const std::string& digest) const {
  std::vector<CheckpointTensor> rows;
  AddRows("", parameters_->values(), rows);
  AddRows(kFirstMoment, step_->first_moments(), rows);
  AddRows(kSecondMoment, step_->second_moments(), rows);
  const CheckpointTarget target = {.directory = options_.directory,
                                   .step = step,
                                   .attempt = options_.attempt};
  return ShardReport(
      WriteShard(target, context_.gang_rank(), context_.gang_ranks(), rows,
                 context_.transfer()),
      digest);
}

absl::StatusOr<std::string> TrainCheckpoint::Commit(
    const TrainPosition& position, const std::vector<std::string>& reports,
    const std::string& digest) const {
  Manifest manifest = {.step = position.step,
                       .seed = options_.seed,
                       .world_size = context_.gang_ranks(),
                       .job = options_.job,
                       .attempt = options_.attempt,
                       .instruction_set = context_.backend->instruction_set(),
                       .build = options_.build,
                       .parameter_digest = digest,
                       .state = PositionToState(position)};
  manifest.state["model"] = options_.model;
  for (size_t rank = 0; rank < reports.size(); ++rank) {
    ASSIGN_OR_RETURN(
        ShardRecord record,
        ParseShardReport(static_cast<int64_t>(rank), reports[rank], digest));
    manifest.shards.push_back(std::move(record));
  }
  ASSIGN_OR_RETURN(std::string path,
                   CommitCheckpoint({.directory = options_.directory,
                                     .step = position.step,
                                     .attempt = options_.attempt},
                                    manifest));
  RETURN_IF_ERROR(PruneCheckpoints(options_.directory, options_.keep_last));
  return path;
}

absl::StatusOr<TrainCheckpoint::Saved> TrainCheckpoint::Save(
    const TrainPosition& position) {
  ASSIGN_OR_RETURN(const std::string digest,
                   DigestOf(AllParameters(), context_.transfer()));
  ASSIGN_OR_RETURN(const std::string report, WriteRows(position.step, digest));
  ASSIGN_OR_RETURN(const std::vector<std::string> reports,
                   GatherTexts(context_, report));
  absl::StatusOr<std::string> path = std::string();
  if (context_.gang_rank() == 0) path = Commit(position, reports, digest);
  // Rank 0's verdict, and with it the promise that the checkpoint is there.
  const std::string verdict =
      path.ok() ? absl::StrCat("ok ", *path)
                : absl::StrCat(static_cast<int>(path.status().code()), " ",
                               path.status().message());
  ASSIGN_OR_RETURN(const std::vector<std::string> verdicts,
                   GatherTexts(context_, verdict));
  const std::pair<std::string, std::string> said =
      absl::StrSplit(verdicts[0], absl::MaxSplits(' ', 1));
  if (said.first == "ok") {
    return Saved{.path = said.second, .parameter_digest = digest};
  }
  int code = 0;
  (void)absl::SimpleAtoi(said.first, &code);
  return absl::Status(static_cast<absl::StatusCode>(code), said.second);
}

absl::Status TrainCheckpoint::CheckManifest(
    const Manifest& manifest, std::vector<std::string>& notes) const {
  const auto found = manifest.state.find("model");
  if (found == manifest.state.end() || found->second != options_.model) {
    return absl::FailedPreconditionError(
        absl::StrCat(options_.directory,
                     " holds checkpoints of another model; "
                     "use another checkpoint directory"));
  }
  if (manifest.seed != options_.seed) {
    return absl::FailedPreconditionError(
        absl::StrCat(options_.directory, " holds checkpoints of seed ",
                     manifest.seed, ", the job has seed ", options_.seed));
  }
  if (manifest.world_size != context_.gang_ranks()) {
    return absl::FailedPreconditionError(absl::StrCat(
        options_.directory, " holds checkpoints of ", manifest.world_size,
        " ranks, the job has ", context_.gang_ranks()));
  }
  const std::string here = context_.backend->instruction_set();
  if (manifest.instruction_set != here || manifest.build != options_.build) {
    notes.push_back(absl::StrCat(
        "the checkpoint was written by build ", manifest.build, " on ",
        manifest.instruction_set, ", this is ", options_.build, " on ", here,
        ": the last bits of results may differ"));
  }
  return absl::OkStatus();
}

absl::Status TrainCheckpoint::CheckSameStep(int64_t step) const {
  ASSIGN_OR_RETURN(const std::vector<std::string> steps,
                   GatherTexts(context_, absl::StrCat(step)));
  for (size_t rank = 0; rank < steps.size(); ++rank) {
    if (steps[rank] == steps[0]) continue;
    return absl::FailedPreconditionError(absl::StrCat(
        options_.directory, ": rank 0 sees the checkpoint of step ", steps[0],
        ", rank ", rank, " that of ", steps[rank],
        " (-1: none); all ranks must see the same directory"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<TrainCheckpoint::Restored>>
TrainCheckpoint::Restore() {
  absl::StatusOr<LatestCheckpoint> latest = LoadLatest(options_.directory);
  const bool none = absl::IsNotFound(latest.status());
  if (!latest.ok() && !none) return latest.status();
  RETURN_IF_ERROR(
      CheckSameStep(none ? -1 : latest->checkpoint->manifest().step));
  if (none) return std::nullopt;
  const CheckpointReader& checkpoint = *latest->checkpoint;
  Restored restored = {.notes = std::move(latest->refused)};
  RETURN_IF_ERROR(CheckManifest(checkpoint.manifest(), restored.notes));
  RETURN_IF_ERROR(ReadParameters(checkpoint, *parameters_));
  for (const ParameterInfo& info : parameters_->layout().parameters) {
    RETURN_IF_ERROR(checkpoint.Read(kFirstMoment + info.name,
                                    Shaped(step_->first_moments(), info),
                                    context_.transfer()));
    RETURN_IF_ERROR(checkpoint.Read(kSecondMoment + info.name,
                                    Shaped(step_->second_moments(), info),
                                    context_.transfer()));
  }
  ASSIGN_OR_RETURN(restored.position,
                   PositionFromState(checkpoint.manifest().step,
                                     checkpoint.manifest().state));
  step_->optimizer().Restore(restored.position.updates,
                             restored.position.skipped);
  return restored;
}

}  // namespace longspan::worker
